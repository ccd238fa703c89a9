import { WinnowError } from '../errors.js';
import { bootstrapDifference, type Interval } from './bootstrap.js';
import { bootstrapTest, holm, pairedTTest, type ResampleOptions, randomisationTest } from './significance.js';
import type { MeasuredRun } from './trec/index.js';

/** A run against the first one, in one measure. */
export interface Comparison {
  /** Index of the run among those given, from 1. */
  readonly run: number;
  readonly measure: string;
  readonly baseline: number;
  readonly value: number;
  /** value - baseline, with its percentile bootstrap interval of 95 %. */
  readonly difference: Interval;
  /** Queries where the run is better, and worse. */
  readonly wins: number;
  readonly losses: number;
  /** Two-sided p-values. */
  readonly tTest: number;
  readonly randomisation: number;
  readonly bootstrap: number;
  /** The randomisation test's p-value after Holm's correction over all comparisons of the list. */
  readonly holm: number;
}

/**
 * Compares runs with the first of them in every measure that is a mean over queries; counts and gm_map are left out. The runs must
 * have been measured over the same queries.
 *
 * @throws WinnowError ERR_MEASURE
 */
export function compareRuns(runs: readonly MeasuredRun[], options: ResampleOptions = {}): Comparison[] {
  const [baseline, ...others] = runs;
  if (baseline === undefined || others.length === 0) {
    throw new WinnowError('ERR_MEASURE', 'there is nothing to compare', {
      expected: 'at least two runs',
      received: String(runs.length),
    });
  }
  const comparisons = others.flatMap((other, index) => {
    if (baseline.queryIds.join(' ') !== other.queryIds.join(' ')) {
      const only = other.queryIds.filter((id) => !baseline.queryIds.includes(id));
      const lacks = baseline.queryIds.filter((id) => !other.queryIds.includes(id));
      throw new WinnowError('ERR_MEASURE', 'the runs answer different judged queries', {
        expected: `the ${baseline.queryIds.length} queries of the first run`,
        received: `${only.length} others (${only.slice(0, 3).join(', ')}), ${lacks.length} missing (${lacks.slice(0, 3).join(', ')})`,
        hint: '--complete counts all judged queries, missing ones as 0',
      });
    }
    return baseline.columns.flatMap((column, place) => {
      const theirs = other.columns[place];
      if (column.summary !== 'mean' || theirs?.name !== column.name) return [];
      const [after, before] = [theirs.perQuery, column.perQuery];
      return {
        run: index + 1,
        measure: column.name,
        baseline: column.overall as number,
        value: theirs.overall as number,
        difference: bootstrapDifference(after, before, { seed: options.seed ?? 0 }),
        wins: after.filter((value, query) => value > (before[query] as number)).length,
        losses: after.filter((value, query) => value < (before[query] as number)).length,
        tTest: pairedTTest(after, before),
        randomisation: randomisationTest(after, before, options),
        bootstrap: bootstrapTest(after, before, options),
      };
    });
  });
  if (comparisons.length === 0) {
    throw new WinnowError('ERR_MEASURE', 'there is nothing to compare', {
      expected: 'a measure that is a mean over queries',
      received: baseline.columns.map(({ name }) => name).join(', '),
    });
  }
  const corrected = holm(comparisons.map(({ randomisation }) => randomisation));
  return comparisons.map((comparison, index) => ({ ...comparison, holm: corrected[index] as number }));
}
