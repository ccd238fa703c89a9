import type { PassagePool } from '../data/passage-pools.js';
import { WinnowError } from '../errors.js';
import { RandomStream, stableKey } from '../random.js';
import type { RankingInstance } from '../types.js';
import { describeTask, type TokenCounter, textSetKey } from './card.js';
import { type BuiltTask, writeBuiltTask } from './files.js';
import { requireCount, requireOption, requireShare } from './option-checks.js';
import { type ListCounts, type ListRules, makeLists, noCounts } from './passage-lists.js';
import { openPassageSource, type PassageFormat, type PassageSource } from './passage-sources.js';
import { normalisedText, type Sides, splitByGroup } from './split.js';

/** R1-Ranker's three, by the number of passages. */
export const passageTaskNames = ['Passage-5', 'Passage-7', 'Passage-9'] as const;
export type PassageTaskName = (typeof passageTaskNames)[number] | 'rank-r1';

export interface PassageOptions {
  readonly seed: number;
  /** Share of the queries on the test side, where the source has no test side of its own; default 0.2. */
  readonly testShare?: number;
  /** At most so many queries on each side. Default 10000 / (passages - 1) for Passage-*, all for rank-r1. */
  readonly queries?: number;
  /** The least grade that makes a passage relevant. Default 2 with TREC judgements, else 1. */
  readonly relevantFrom?: number;
  /** Whether unjudged passages may be negatives. Default 'refuse' for Passage-* from TREC judgements, else 'allow'. */
  readonly unjudged?: 'allow' | 'refuse';
  /** BEIR: negatives from the BM25 ranking of the collection, or any document. Default 'bm25'. */
  readonly hardNegatives?: 'bm25' | 'random';
  /** How deep a ranking is used; default 100. */
  readonly depth?: number;
  /** Lists of one query; default 1. */
  readonly lists?: number;
  /** All passages of a list together. Default 2600 for Passage-* from MS MARCO, else no limit. */
  readonly maxCharacters?: number;
  /** rank-r1: at most so many; default 19. */
  readonly negatives?: number;
}

interface Settings extends Required<PassageOptions> {
  readonly task: PassageTaskName;
}

/** How many passages a list of the task has; undefined: up to `negatives` + 1. */
function sizeOf(task: PassageTaskName): number | undefined {
  return task === 'rank-r1' ? undefined : Number(task.slice('Passage-'.length));
}

function settle(task: PassageTaskName, format: PassageFormat, options: PassageOptions): Settings {
  const size = sizeOf(task);
  const settings: Settings = {
    task,
    seed: options.seed,
    testShare: options.testShare ?? 0.2,
    queries: options.queries ?? (size ? Math.floor(10_000 / (size - 1)) : Number.MAX_SAFE_INTEGER),
    relevantFrom: options.relevantFrom ?? (format === 'trec' ? 2 : 1),
    unjudged: options.unjudged ?? (size && format === 'trec' ? 'refuse' : 'allow'),
    hardNegatives: options.hardNegatives ?? 'bm25',
    depth: options.depth ?? 100,
    lists: options.lists ?? 1,
    maxCharacters: options.maxCharacters ?? (size && format === 'ms-marco' ? 2600 : Number.MAX_SAFE_INTEGER),
    negatives: options.negatives ?? (size ? size - 1 : 19),
  };
  for (const name of ['queries', 'relevantFrom', 'depth', 'lists', 'maxCharacters', 'negatives'] as const) {
    requireCount(task, name, settings[name]);
  }
  requireShare(task, 'testShare', settings.testShare);
  const { unjudged, hardNegatives } = settings;
  requireOption(task, 'unjudged', unjudged === 'allow' || unjudged === 'refuse', "'allow' or 'refuse'", unjudged);
  const known = hardNegatives === 'bm25' || hardNegatives === 'random';
  requireOption(task, 'hardNegatives', known, "'bm25' or 'random'", hardNegatives);
  return settings;
}

function rulesOf(settings: Settings, format: PassageFormat): ListRules {
  const size = sizeOf(settings.task);
  return {
    task: settings.task,
    seed: settings.seed,
    fewestNegatives: size ? size - 1 : 1,
    mostNegatives: settings.negatives,
    wholePool: size !== undefined && format === 'ms-marco',
    relevantFrom: settings.relevantFrom,
    unjudged: settings.unjudged,
    maxCharacters: settings.maxCharacters,
    lists: settings.lists,
    positive: size ? 'random' : 'first',
    ids: size ? 'numbered' : 'documents',
  };
}

/** The instances of the `limit` queries that a seeded draw picks, whatever their order; holds little more than those. */
class QuerySample {
  #entries: { readonly key: number; readonly instances: readonly RankingInstance[] }[] = [];
  readonly #limit: number;
  readonly #seed: number;

  constructor(limit: number, seed: number) {
    this.#limit = limit;
    this.#seed = seed;
  }

  add(queryId: string, instances: readonly RankingInstance[]): void {
    this.#entries.push({ key: stableKey(this.#seed, 'passages', 'sample', queryId), instances });
    if (this.#entries.length >= 2 * this.#limit) this.#cut();
  }

  #cut(): void {
    this.#entries = this.#entries.sort((a, b) => a.key - b.key).slice(0, this.#limit);
  }

  instances(): RankingInstance[] {
    this.#cut();
    return this.#entries.flatMap(({ instances }) => instances);
  }
}

async function collect(source: PassageSource, settings: Settings, counts: ListCounts): Promise<Sides<RankingInstance>> {
  const rules = rulesOf(settings, source.format);
  const { seed, depth, hardNegatives, queries } = settings;
  const samples = { train: new QuerySample(queries, seed), test: new QuerySample(queries, seed) };
  const sideless = new QuerySample(2 * queries, seed);
  const ids = new Set<string>();
  for await (const pool of source.pools({ seed, depth, negativesFrom: hardNegatives })) {
    expectNewQuery(ids, pool);
    const made = makeLists(pool, rules, counts);
    if (made.length > 0) (pool.side ? samples[pool.side] : sideless).add(pool.query.id, made);
  }
  const open = sideless.instances();
  if (open.length > 0) {
    const random = new RandomStream(seed, 'passages', 'split');
    const split = splitByGroup(open, ({ context }) => normalisedText(context), settings.testShare, random);
    return { train: limited(split.train, queries), test: limited(split.test, queries) };
  }
  const train = samples.train.instances();
  const test = samples.test.instances();
  const trained = new Set(train.map(({ context }) => normalisedText(context)));
  const others = test.filter(({ context }) => !trained.has(normalisedText(context)));
  counts.testQueriesAlsoInTraining += test.length - others.length;
  return { train, test: others };
}

/** Without test lists whose passages are exactly those of a training list. */
function withoutSharedLists({ train, test }: Sides<RankingInstance>, counts: ListCounts): Sides<RankingInstance> {
  const trained = new Set(train.map(textSetKey));
  const others = test.filter((instance) => !trained.has(textSetKey(instance)));
  counts.testListsAlsoInTraining += test.length - others.length;
  return { train, test: others };
}

function limited(side: readonly RankingInstance[], queries: number): RankingInstance[] {
  const allowed = new Set([...new Set(side.map(({ meta }) => String(meta?.queryId)))].slice(0, queries));
  return side.filter(({ meta }) => allowed.has(String(meta?.queryId)));
}

function expectNewQuery(ids: Set<string>, { query, side }: PassagePool): void {
  const key = `${side ?? ''}\n${query.id}`;
  if (!ids.has(key)) {
    ids.add(key);
    return;
  }
  throw new WinnowError('ERR_DATA_PASSAGES', `query ${query.id} comes twice`, {
    expected: 'distinct query ids on each side',
    received: JSON.stringify(query.text.slice(0, 60)),
  });
}

/**
 * Lists of one relevant passage among others. Passage-5/7/9 have exactly that many; from MS MARCO they are its own lists of that
 * length with one selected passage (R1-Ranker), from other sources the relevant passage and drawn negatives. rank-r1 has one
 * relevant passage and up to 19 negatives (Rank-R1's training data). Candidates are shuffled.
 *
 * @throws WinnowError ERR_TASK_OPTION, ERR_TASK_DATA, ERR_DATA_*
 */
export async function makePassageTask(
  task: PassageTaskName,
  source: PassageSource,
  options: PassageOptions,
  countTokens?: TokenCounter,
): Promise<BuiltTask> {
  const settings = settle(task, source.format, options);
  const counts = noCounts();
  const sides = withoutSharedLists(await collect(source, settings, counts), counts);
  if (sides.train.length === 0 && sides.test.length === 0) {
    throw new WinnowError('ERR_TASK_DATA', `no query gives a list for ${task}`, {
      expected: 'queries with a relevant passage and enough others',
      received: JSON.stringify(counts),
    });
  }
  const { passagesOfEqualTextLeftOut, testQueriesAlsoInTraining, testListsAlsoInTraining, ...others } = counts;
  const { task: _, ...shown } = settings;
  const card = describeTask(sides, {
    task,
    source: { format: source.format, files: source.files },
    settings: Object.fromEntries(
      Object.entries(shown).map(([name, value]) => [name, value === Number.MAX_SAFE_INTEGER ? null : value]),
    ),
    counts: others,
    duplicates: {
      passagesOfEqualTextLeftOut,
      testQueriesAlsoInTrainingDropped: testQueriesAlsoInTraining,
      testListsAlsoInTrainingDropped: testListsAlsoInTraining,
    },
    keys: { queries: ({ context }) => normalisedText(context), itemSets: textSetKey },
    ...(countTokens ? { countTokens } : {}),
  });
  return { ...sides, card };
}

/** Reads the folder `source`; writes what `writeBuiltTask` writes. */
export async function buildPassage(
  task: PassageTaskName,
  options: PassageOptions & { readonly source: string; readonly output: string },
  countTokens?: TokenCounter,
): Promise<Readonly<Record<string, unknown>>> {
  const built = await makePassageTask(task, await openPassageSource(options.source), options, countTokens);
  await writeBuiltTask(options.output, built);
  return built.card;
}
