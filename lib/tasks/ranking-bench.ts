import { join } from 'node:path';
import { fieldError, type Place, quoted } from '../data/fields.js';
import { readJsonArray } from '../data/json-array.js';
import { asArray, asObject, asString } from '../data/json-fields.js';
import { type JsonLine, readJsonLines } from '../data/jsonl.js';
import { readParquetRows } from '../data/parquet.js';
import { listFolder } from '../data/reading.js';
import { WinnowError } from '../errors.js';
import { decodeHtmlEntities } from '../text/html-entities.js';
import type { Candidate, RankingInstance } from '../types.js';
import { describeTask, type TokenCounter, textSetKey } from './card.js';
import { type BuiltTask, writeBuiltTask } from './files.js';
import { requireOption } from './option-checks.js';
import { historyOfProblem, passageProblem, routerProblem } from './ranking-bench-problem.js';
import { objectiveLine, type RouterTaskName, routerObjectives } from './router-scores.js';
import { normalisedText } from './split.js';

const code = 'ERR_DATA_RANKING_BENCH';

export interface RankingBenchOptions {
  /** The configuration: whole lists, or the subsets that an exclusion ranker is trained on. Default 'direct'. */
  readonly config?: 'direct' | 'iterative';
}

interface Row {
  readonly problem: string;
  readonly candidates: readonly string[];
  readonly gt: string;
  readonly place: Place;
}

/** A name as different rows write it: without an index before it, HTML entities, case and stray spaces. */
const plainName = (name: string): string => normalisedText(decodeHtmlEntities(name).replace(/^\d+\. /, ''));

/** Ids are the names; a name that comes again gets a number. */
function namedCandidates(names: readonly string[]): Candidate[] {
  const seen = new Map<string, number>();
  return names.map((text) => {
    const count = (seen.get(text) ?? 0) + 1;
    seen.set(text, count);
    return { id: count === 1 ? text : `${text} #${count}`, text };
  });
}

/** 1 for every candidate that `gt` names: exactly, or where none does, up to writing. */
function gradesOf({ candidates, gt, place }: Row): number[] {
  const exact = candidates.map((name) => (name === gt ? 1 : 0));
  if (exact.includes(1)) return exact;
  const close = candidates.map((name) => (plainName(name) === plainName(gt) ? 1 : 0));
  if (close.includes(1)) return close;
  throw fieldError(place, 'gt', 'is none of the candidates', { expected: 'one of candidates', received: quoted(gt) });
}

function badProblem({ problem, place }: Row, expected: string): WinnowError {
  return fieldError(place, 'problem', 'has not the words of its task', { expected, received: quoted(problem) });
}

type Parts = Pick<RankingInstance, 'context' | 'candidates' | 'relevance' | 'meta'>;

function recParts(row: Row): Parts {
  const context = historyOfProblem(row.problem);
  if (context === undefined) throw badProblem(row, '"in order:" and "Now there are"');
  return { context, candidates: namedCandidates(row.candidates), relevance: gradesOf(row), meta: {} };
}

function routerParts(row: Row, task: RouterTaskName): Parts {
  const parsed = routerProblem(row.problem, row.candidates);
  if (!parsed) throw badProblem(row, '"Here is a query:" and "and LLM condidates:"');
  const { query, descriptions } = parsed;
  const candidates = namedCandidates(row.candidates).map(({ id, text }) => {
    const description = descriptions[text];
    return { id, text: description ? `${text}: ${description}` : text };
  });
  const names = Object.fromEntries(row.candidates.map((name) => [name, name]));
  return {
    context: `${objectiveLine(routerObjectives[task])}\n${query}`,
    candidates,
    relevance: gradesOf(row),
    meta: { query, names, descriptions },
  };
}

const passageId = /^passage \d+$/;

/** Candidates as ids, whether the row gives ids or texts. */
function passageParts(row: Row): Parts {
  const areIds = row.candidates.every((candidate) => passageId.test(candidate));
  const parsed = passageProblem(row.problem, areIds ? new Set(row.candidates) : undefined);
  if (!parsed) throw badProblem(row, '"Here is a query:", "and candidate passages:" and "Please think step by step"');
  const unused = new Map(parsed.passages);
  const candidates = row.candidates.map((candidate, index): Candidate => {
    const key = normalisedText(candidate);
    const id = areIds ? candidate : [...unused].find(([, text]) => normalisedText(text) === key)?.[0];
    const text = id === undefined ? undefined : unused.get(id);
    if (id === undefined || text === undefined) {
      throw fieldError(row.place, `candidates[${index}]`, 'is no passage of the problem', {
        expected: 'an id or the text of one, each once',
        received: quoted(candidate),
      });
    }
    unused.delete(id);
    return { id, text };
  });
  const right = passageId.test(row.gt) && !areIds ? { ...row, candidates: candidates.map(({ id }) => id) } : row;
  return { context: parsed.query, candidates, relevance: gradesOf(right), meta: { query: parsed.query } };
}

/** One row as an instance. @throws WinnowError ERR_DATA_RANKING_BENCH with file, line and field */
export function rankingBenchInstance({ number, value }: JsonLine, path: string, id: string): RankingInstance {
  const place: Place = { code, path, line: number };
  const record = asObject(value, place, 'row');
  const task = asString(record.task_name, place, 'task_name');
  const row: Row = {
    problem: asString(record.problem, place, 'problem'),
    candidates: asArray(record.candidates, place, 'candidates').map((entry, index) =>
      asString(entry, place, `candidates[${index}]`),
    ),
    gt: asString(record.gt, place, 'gt'),
    place,
  };
  if (row.candidates.length < 2) {
    throw fieldError(place, 'candidates', 'are too few', {
      expected: 'at least 2',
      received: `${row.candidates.length}`,
    });
  }
  if (task.startsWith('Rec-')) return { id, task, ...recParts(row) };
  if (Object.hasOwn(routerObjectives, task)) return { id, task, ...routerParts(row, task as RouterTaskName) };
  if (task.startsWith('Passage-')) return { id, task, ...passageParts(row) };
  throw fieldError(place, 'task_name', 'is unknown', {
    expected: `Rec-*, ${Object.keys(routerObjectives).join(', ')} or Passage-*`,
    received: quoted(task),
  });
}

function rowsOf(path: string): AsyncGenerator<JsonLine> {
  if (path.endsWith('.parquet')) return readParquetRows(path, ['problem', 'candidates', 'gt', 'task_name']);
  return path.endsWith('.jsonl') ? readJsonLines(path) : readJsonArray(path);
}

/**
 * Reads Ranking-bench rows, `problem, candidates, gt, task_name`, from train* and test* files (.parquet, .jsonl or .json) of
 * `source` or of its folder named like the configuration. Rows are taken as they are: nothing is shuffled, sampled or dropped, and
 * what the data set has on both sides the card tells.
 *
 * @throws WinnowError ERR_DATA_SOURCE, ERR_DATA_RANKING_BENCH with file, line and field
 */
export async function readRankingBench(
  source: string,
  { config = 'direct' }: RankingBenchOptions,
  countTokens?: TokenCounter,
): Promise<BuiltTask> {
  requireOption(
    'ranking-bench',
    'config',
    config === 'direct' || config === 'iterative',
    'direct or iterative',
    config,
  );
  const folder = (await listFolder(source, 'a folder of Ranking-bench')).includes(config)
    ? join(source, config)
    : source;
  const files = (await listFolder(folder, 'a folder of Ranking-bench')).filter((name) =>
    /^(?:train|test).*\.(?:parquet|jsonl|json)$/.test(name),
  );
  if (files.length === 0) {
    throw new WinnowError('ERR_DATA_SOURCE', `${folder} holds no rows`, {
      expected: 'train* and test* files, .parquet, .jsonl or .json',
      received: 'none',
    });
  }
  const sides = { train: [] as RankingInstance[], test: [] as RankingInstance[] };
  for (const name of files) {
    const side = name.startsWith('train') ? 'train' : 'test';
    // Of a JSON array several rows may begin on one line, so ids count rows.
    let row = 0;
    for await (const line of rowsOf(join(folder, name))) {
      sides[side].push(rankingBenchInstance(line, join(folder, name), `${config}/${name}/${++row}`));
    }
  }
  const perTask = new Map<string, number>();
  for (const { task } of [...sides.train, ...sides.test]) perTask.set(task, (perTask.get(task) ?? 0) + 1);
  const card = describeTask(sides, {
    task: 'ranking-bench',
    source: { files },
    settings: { config },
    counts: { instancesOfTask: Object.fromEntries(perTask) },
    keys: {
      contexts: ({ task, context }) => `${task}\n${normalisedText(context)}`,
      itemSets: (instance) => (instance.task.startsWith('Router-') ? undefined : textSetKey(instance)),
    },
    ...(countTokens ? { countTokens } : {}),
  });
  return { ...sides, card };
}

/** Reads `source`; writes what `writeBuiltTask` writes. */
export async function buildRankingBench(
  options: RankingBenchOptions & { readonly source: string; readonly output: string },
  countTokens?: TokenCounter,
): Promise<Readonly<Record<string, unknown>>> {
  const built = await readRankingBench(options.source, options, countTokens);
  await writeBuiltTask(options.output, built);
  return built.card;
}
