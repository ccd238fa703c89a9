import type { Qrels, Run } from '../../data/index.js';
import { WinnowError } from '../../errors.js';
import { compareBytes, countPositive, type JudgeOptions, judgeQuery } from './judge-run.js';
import type { MeasureSettings } from './measure-table.js';
import { type Measure, selectMeasures } from './select-measures.js';

export interface RunMeasureOptions extends Partial<JudgeOptions> {
  /** Names as `selectMeasures` takes them; default: official. */
  readonly measures?: readonly string[];
  /** Over all queries of the judgements, missing ones as empty rankings (-c); default: those of both files. */
  readonly complete?: boolean;
}

/** One measure over a run. */
export interface MeasuredColumn {
  readonly name: string;
  readonly summary: Measure['summary'];
  /** In the order of `queryIds`. */
  readonly perQuery: readonly number[];
  /** The run's tag for runid, else a number. */
  readonly overall: number | string;
}

export interface MeasuredRun {
  readonly tag: string;
  /** The queries that count, in byte order. */
  readonly queryIds: readonly string[];
  /** Those of them that the run lacks. */
  readonly missing: ReadonlySet<string>;
  readonly columns: readonly MeasuredColumn[];
}

/** The least average precision that enters a geometric mean, which one 0 would make 0 (Robertson, 2006; trec_eval's value). */
const leastForGeometricMean = 0.00001;

function queriesOf(qrels: Qrels, run: Run, complete: boolean): string[] {
  const ids = [...qrels.keys()].filter((id) => complete || run.queries.has(id)).sort(compareBytes);
  if (!ids.some((id) => run.queries.has(id))) {
    throw new WinnowError('ERR_MEASURE', 'run and judgements have no query in common', {
      expected: `queries such as ${[...qrels.keys()].slice(0, 3).join(', ')}`,
      received: `queries such as ${[...run.queries.keys()].slice(0, 3).join(', ')}`,
    });
  }
  return ids;
}

function overallOf(summary: Measure['summary'], values: readonly number[]): number {
  if (summary === 'query_count') return values.length;
  const addends =
    summary === 'geometric_mean' ? values.map((value) => Math.log(Math.max(value, leastForGeometricMean))) : values;
  const total = addends.reduce((sum, value) => sum + value, 0);
  if (summary === 'sum') return total;
  return summary === 'mean' ? total / values.length : Math.exp(total / values.length);
}

function checked(options: RunMeasureOptions): JudgeOptions {
  const { level = 1, judgedOnly = false, maxRetrieved = Number.MAX_SAFE_INTEGER, version = 9 } = options;
  for (const [name, value, least] of [
    ['level', level, 0],
    ['maxRetrieved', maxRetrieved, 1],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < least) {
      throw new WinnowError('ERR_MEASURE', `${name} cannot be used`, {
        expected: `an integer from ${least}`,
        received: String(value),
      });
    }
  }
  return { level, judgedOnly, maxRetrieved, version };
}

/**
 * Measures a run against judgements, as trec_eval does: queries without judgements do not count; nor do judged queries that the run
 * lacks, unless `complete`. docs/measures.md has the formulas and the differences between trec_eval 9 and 10.
 *
 * @throws WinnowError ERR_MEASURE_UNKNOWN, ERR_MEASURE without a common query
 */
export function measureRun(qrels: Qrels, run: Run, options: RunMeasureOptions = {}): MeasuredRun {
  const judge = checked(options);
  const complete = options.complete ?? false;
  const measures = selectMeasures(options.measures ?? ['official']);
  const settings: MeasureSettings = { recallRounding: judge.version === 9 ? 'nearly_up' : 'nearest' };
  const queryIds = queriesOf(qrels, run, complete);
  const perQuery = measures.map(() => [] as number[]);
  for (const id of queryIds) {
    const ranking = judgeQuery(run.queries.get(id) ?? [], qrels.get(id) as ReadonlyMap<string, number>, judge);
    for (const [index, measure] of measures.entries()) perQuery[index]?.push(measure.value(ranking, settings));
  }
  const columns = measures.map(({ name, summary }, index) => {
    const values = perQuery[index] as number[];
    const overall =
      summary === 'run_tag'
        ? run.tag
        : name === 'num_rel' && complete
          ? countPositive(qrels)
          : overallOf(summary, values);
    return { name, summary, perQuery: values, overall };
  });
  return { tag: run.tag, queryIds, missing: new Set(queryIds.filter((id) => !run.queries.has(id))), columns };
}
