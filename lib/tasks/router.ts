import type { RoutingQuery, RoutingTable } from '../data/routing.js';
import { readRoutingFolder } from '../data/routing-folder.js';
import { WinnowError } from '../errors.js';
import { RandomStream } from '../random.js';
import type { RankingInstance } from '../types.js';
import { describeTask, type TokenCounter } from './card.js';
import { type BuiltTask, writeBuiltTask } from './files.js';
import { requireCount, requireOption, requireShare } from './option-checks.js';
import {
  type CostScale,
  meanCosts,
  minMaxScale,
  objectiveLine,
  type RouterTaskName,
  routerObjectives,
  scoreOf,
} from './router-scores.js';
import { normalisedText, splitByGroup } from './split.js';

/** Differences of scores below this are rounding. */
const tieMargin = 1e-9;

export interface RouterOptions {
  /** The split depends on it alone, so that the three tasks of one seed test the same queries. */
  readonly seed: number;
  /** Share of the queries on the test side; default 0.2. */
  readonly testShare?: number;
  /** Only that many queries, drawn at random; default all. */
  readonly queries?: number;
  /** Weights of the objective; default those of the task's name. */
  readonly effectWeight?: number;
  readonly costWeight?: number;
  /** A model without a cell that the objective needs: leave out the model, or the whole query. Default 'candidate'. */
  readonly missing?: 'candidate' | 'query';
  /** Queries on which all candidates score the same teach and measure nothing. Default 'drop'. */
  readonly allTied?: 'drop' | 'keep';
  /** What a candidate's text is: its name, or the name with what is known of it, price included. Default 'described'. */
  readonly candidateText?: 'described' | 'name';
  /** Only the last so many words of a request are shown, for models of a short context: worked examples stand before the question. */
  readonly queryWords?: number;
}

interface Settings extends Required<Omit<RouterOptions, 'queries' | 'queryWords'>> {
  readonly queries: number | undefined;
  readonly queryWords: number | undefined;
}

function settle(task: RouterTaskName, options: RouterOptions): Settings {
  const weights = routerObjectives[task];
  const settings: Settings = {
    seed: options.seed,
    testShare: options.testShare ?? 0.2,
    queries: options.queries,
    effectWeight: options.effectWeight ?? weights.effect,
    costWeight: options.costWeight ?? weights.cost,
    missing: options.missing ?? 'candidate',
    allTied: options.allTied ?? 'drop',
    candidateText: options.candidateText ?? 'described',
    queryWords: options.queryWords,
  };
  requireShare(task, 'testShare', settings.testShare);
  if (settings.queries !== undefined) requireCount(task, 'queries', settings.queries, 2);
  if (settings.queryWords !== undefined) requireCount(task, 'queryWords', settings.queryWords, 1);
  for (const name of ['effectWeight', 'costWeight'] as const) {
    requireOption(
      task,
      name,
      Number.isFinite(settings[name]) && settings[name] >= 0,
      'a number of at least 0',
      settings[name],
    );
  }
  const sum = settings.effectWeight + settings.costWeight;
  requireOption(task, 'effectWeight', sum > 0, 'a sum of the weights above 0', sum);
  const oneOf = (name: 'missing' | 'allTied' | 'candidateText', values: readonly string[]): void =>
    requireOption(task, name, values.includes(settings[name]), values.join(' or '), settings[name]);
  oneOf('missing', ['candidate', 'query']);
  oneOf('allTied', ['drop', 'keep']);
  oneOf('candidateText', ['described', 'name']);
  return settings;
}

interface Counts {
  candidatesLeftOut: number;
  queriesWithMissingCellsDropped: number;
  queriesOfFewerThanTwoCandidatesDropped: number;
  queriesWithAllTiedDropped: number;
}

interface Maker {
  readonly task: RouterTaskName;
  readonly table: RoutingTable;
  readonly settings: Settings;
  readonly scale: CostScale;
  readonly descriptions: ReadonlyMap<string, string>;
  readonly counts: Counts;
}

/** What the source says of each model, and what a request cost on training queries where costs have a unit. */
function describeModels(table: RoutingTable, training: readonly RoutingQuery[]): Map<string, string> {
  const means = table.costsAreScaled ? new Map<string, number>() : meanCosts(training);
  return new Map(
    table.models.flatMap((model) => {
      const mean = means.get(model);
      const price = mean === undefined ? '' : `A request costs ${Number(mean.toPrecision(3))} on average.`;
      const text = [price, table.descriptions.get(model) ?? ''].join(' ').trim();
      return text === '' ? [] : [[model, text] as const];
    }),
  );
}

/** The end of `text` from its `count`th last word on, white space inside it as it was. */
function lastWords(text: string, count: number): string {
  const words = [...text.matchAll(/\S+/g)];
  return text.slice(words.at(-count)?.index ?? 0);
}

function makeInstance(query: RoutingQuery, maker: Maker): RankingInstance | undefined {
  const { task, table, settings, counts } = maker;
  const weights = { effect: settings.effectWeight, cost: settings.costWeight };
  const scores = new Map<string, number>();
  for (const model of table.models) {
    const score = scoreOf(query.outcomes.get(model), query.benchmark, weights, maker.scale);
    if (score !== undefined) scores.set(model, score);
  }
  const missing = table.models.length - scores.size;
  if (missing > 0 && settings.missing === 'query') {
    counts.queriesWithMissingCellsDropped++;
    return undefined;
  }
  if (scores.size < 2) {
    counts.queriesOfFewerThanTwoCandidatesDropped++;
    return undefined;
  }
  const best = Math.max(...scores.values());
  const right = [...scores.keys()].filter((model) => best - (scores.get(model) as number) <= tieMargin);
  if (right.length === scores.size && settings.allTied === 'drop') {
    counts.queriesWithAllTiedDropped++;
    return undefined;
  }
  counts.candidatesLeftOut += missing;
  const shown = new RandomStream(settings.seed, 'router', 'candidates', query.id).shuffled([...scores.keys()]);
  const text = (model: string): string => {
    const description = maker.descriptions.get(model);
    return settings.candidateText === 'name' || !description ? model : `${model}: ${description}`;
  };
  return {
    id: `${task}/${query.id}`,
    task,
    context: `${objectiveLine(weights)}\n${settings.queryWords === undefined ? query.query : lastWords(query.query, settings.queryWords)}`,
    candidates: shown.map((model) => ({ id: model, text: text(model) })),
    relevance: shown.map((model) => (right.includes(model) ? 1 : 0)),
    meta: {
      query: query.query,
      benchmark: query.benchmark,
      names: Object.fromEntries(shown.map((model) => [model, model])),
      descriptions: Object.fromEntries(shown.map((model) => [model, maker.descriptions.get(model) ?? ''])),
      scores: Object.fromEntries(scores),
      costs: Object.fromEntries(shown.map((model) => [model, query.outcomes.get(model)?.cost ?? null])),
    },
  };
}

/**
 * R1-Ranker's routing tasks: rank models for a query by effectWeight x effect - costWeight x cost. Every model of the best score
 * is a right answer, candidates are shuffled, the objective is in the context, and queries are split (equal texts together)
 * before anything is made of them.
 *
 * @throws WinnowError ERR_TASK_OPTION, ERR_TASK_DATA
 */
export function makeRouterTask(
  task: RouterTaskName,
  table: RoutingTable,
  options: RouterOptions,
  countTokens?: TokenCounter,
): BuiltTask {
  const settings = settle(task, options);
  const keyOf = (query: RoutingQuery): string => normalisedText(query.query);
  const wanted = settings.queries ?? table.queries.length;
  if (table.queries.length < wanted || new Set(table.queries.map(keyOf)).size < 2) {
    throw new WinnowError('ERR_TASK_DATA', `${task} has too few queries`, {
      expected: `at least ${Math.max(2, wanted)}`,
      received: String(table.queries.length),
    });
  }
  const chosen = new RandomStream(settings.seed, 'router', 'queries').sample(table.queries, wanted);
  const split = splitByGroup(chosen, keyOf, settings.testShare, new RandomStream(settings.seed, 'router', 'split'));
  const counts: Counts = {
    candidatesLeftOut: 0,
    queriesWithMissingCellsDropped: 0,
    queriesOfFewerThanTwoCandidatesDropped: 0,
    queriesWithAllTiedDropped: 0,
  };
  const scale: CostScale = table.costsAreScaled ? (_, cost) => cost : minMaxScale(split.train);
  const maker: Maker = { task, table, settings, scale, descriptions: describeModels(table, split.train), counts };
  const make = (queries: readonly RoutingQuery[]): RankingInstance[] =>
    queries.flatMap((query) => makeInstance(query, maker) ?? []);
  const sides = { train: make(split.train), test: make(split.test) };
  if (sides.train.length === 0 || sides.test.length === 0) {
    throw new WinnowError('ERR_TASK_DATA', `${task} leaves an empty side`, {
      expected: 'queries on which the models differ, on both sides',
      received: JSON.stringify(counts),
    });
  }
  return { ...sides, card: describeRouter(maker, sides, countTokens) };
}

function describeRouter(
  { task, table, settings, counts }: Maker,
  sides: { readonly train: readonly RankingInstance[]; readonly test: readonly RankingInstance[] },
  countTokens?: TokenCounter,
): Record<string, unknown> {
  const all = [...sides.train, ...sides.test];
  const bestCounts = new Map<string, number>();
  for (const { candidates, relevance } of all) {
    candidates.forEach(({ id }, index) => {
      if ((relevance[index] ?? 0) > 0) bestCounts.set(id, (bestCounts.get(id) ?? 0) + 1);
    });
  }
  return describeTask(sides, {
    task,
    source: { format: table.format, files: table.files },
    settings,
    counts: {
      queries: table.queries.length,
      models: table.models.length,
      ...counts,
      timesAmongTheBest: Object.fromEntries(table.models.map((model) => [model, bestCounts.get(model) ?? 0])),
    },
    duplicates: { rowsOfAnEarlierQuery: table.mergedRows },
    keys: { queries: (instance) => normalisedText(String(instance.meta?.query)) },
    ...(countTokens ? { countTokens } : {}),
  });
}

/** Reads the routing tables of the folder `source`; writes what `writeBuiltTask` writes. */
export async function buildRouter(
  task: RouterTaskName,
  options: RouterOptions & { readonly source: string; readonly output: string },
  countTokens?: TokenCounter,
): Promise<Readonly<Record<string, unknown>>> {
  const built = makeRouterTask(task, await readRoutingFolder(options.source), options, countTokens);
  await writeBuiltTask(options.output, built);
  return built.card;
}
