/** Whether two systems differ, from their values on the same queries. All tests are paired and two-sided. */
import { WinnowError } from '../errors.js';
import { RandomStream } from '../random.js';
import { twoSidedT } from './beta.js';

export interface ResampleOptions {
  /** Default 10000. */
  readonly resamples?: number;
  /** Default 0. */
  readonly seed?: number;
}

/** `after[i] - before[i]`. @throws WinnowError ERR_MEASURE for other than two finite values or more of each */
export function pairedDifferences(after: readonly number[], before: readonly number[]): number[] {
  const differences = after.map((value, index) => value - (before[index] as number));
  if (after.length !== before.length || after.length < 2 || !differences.every(Number.isFinite)) {
    throw new WinnowError('ERR_MEASURE', 'a paired test cannot be made', {
      expected: 'as many finite values of one system as of the other, at least 2',
      received: `${after.length} and ${before.length}`,
    });
  }
  return differences;
}

function checkedResamples({ resamples = 10_000 }: ResampleOptions): number {
  if (!Number.isSafeInteger(resamples) || resamples < 1) {
    throw new WinnowError('ERR_MEASURE', 'a test cannot be made', {
      expected: 'a number of resamples from 1',
      received: String(resamples),
    });
  }
  return resamples;
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/** Mean over its standard error; ±Infinity when all values are the same and not 0, 0 when all are 0. */
function studentised(values: readonly number[]): number {
  const mean = sumOf(values) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  // A spread within rounding of the mean is none.
  if (squares <= values.length * (mean * 2 ** -50) ** 2) return mean === 0 ? 0 : Math.sign(mean) * Infinity;
  return mean / Math.sqrt(squares / (values.length - 1) / values.length);
}

/** Student's paired t-test (Student, 1908): the p-value. 1 when no query differs. */
export function pairedTTest(after: readonly number[], before: readonly number[]): number {
  const differences = pairedDifferences(after, before);
  return twoSidedT(studentised(differences), differences.length - 1);
}

/** Up to so many differences that are not 0, every sign is tried: 65536 sums. */
const mostForExact = 16;

/**
 * Fisher's paired randomisation test (Fisher, 1935; Smucker, Allan and Carterette, 2007): the share of sign changes of the
 * differences whose mean is at least as far from 0 as the one seen. Exact up to 16 differing queries; beyond, (k + 1) / (B + 1) over B
 * random sign changes, of which k are as extreme (Davison and Hinkley, 1997).
 */
export function randomisationTest(
  after: readonly number[],
  before: readonly number[],
  options: ResampleOptions = {},
): number {
  const resamples = checkedResamples(options);
  const differences = pairedDifferences(after, before).filter((difference) => difference !== 0);
  // Sums of the same differences in another grouping differ by rounding alone, and must count as equal.
  const seen = Math.abs(sumOf(differences)) - 1e-12 * differences.reduce((sum, value) => sum + Math.abs(value), 0);
  if (differences.length <= mostForExact) {
    const count = 2 ** differences.length;
    let extreme = 0;
    for (let signs = 0; signs < count; signs++) {
      const sum = differences.reduce((total, value, index) => total + (signs & (1 << index) ? -value : value), 0);
      if (Math.abs(sum) >= seen) extreme++;
    }
    return extreme / count;
  }
  const random = new RandomStream(options.seed ?? 0, 'randomisation test');
  let extreme = 0;
  for (let resample = 0; resample < resamples; resample++) {
    let sum = 0;
    let bits = 0;
    for (let i = 0; i < differences.length; i++) {
      if (i % 32 === 0) bits = random.bits();
      sum += (bits >>> (i % 32)) & 1 ? (differences[i] as number) : -(differences[i] as number);
    }
    if (Math.abs(sum) >= seen) extreme++;
  }
  return (extreme + 1) / (resamples + 1);
}

/**
 * Paired bootstrap test (Efron and Tibshirani, 1993, algorithm 16.2; for retrieval Sakai, 2006): how often the studentised mean
 * of differences resampled from a population of mean 0 is as far from 0 as the one seen, as (k + 1) / (B + 1).
 */
export function bootstrapTest(
  after: readonly number[],
  before: readonly number[],
  options: ResampleOptions = {},
): number {
  const resamples = checkedResamples(options);
  const differences = pairedDifferences(after, before);
  const seen = Math.abs(studentised(differences));
  if (seen === 0) return 1;
  const mean = sumOf(differences) / differences.length;
  const centred = differences.map((difference) => difference - mean);
  const random = new RandomStream(options.seed ?? 0, 'bootstrap test');
  const drawn = new Array<number>(centred.length);
  let extreme = 0;
  for (let resample = 0; resample < resamples; resample++) {
    for (let i = 0; i < drawn.length; i++) drawn[i] = centred[random.integer(centred.length)] as number;
    if (Math.abs(studentised(drawn)) >= seen) extreme++;
  }
  return (extreme + 1) / (resamples + 1);
}

/**
 * Holm's correction (Holm, 1979): p-values of one family, adjusted so that rejecting those below alpha keeps the chance of any
 * false rejection below alpha. In the order given; the smallest is multiplied by their number, the next by one less, and none may be
 * smaller than the one before.
 */
export function holm(pValues: readonly number[]): number[] {
  if (!pValues.every((p) => p >= 0 && p <= 1)) {
    throw new WinnowError('ERR_MEASURE', 'p-values cannot be corrected', {
      expected: 'numbers from 0 to 1',
      received: pValues.join(', '),
    });
  }
  const order = pValues.map((_, index) => index).sort((a, b) => (pValues[a] as number) - (pValues[b] as number));
  const adjusted = new Array<number>(pValues.length);
  let largest = 0;
  order.forEach((index, place) => {
    largest = Math.max(largest, Math.min(1, (pValues.length - place) * (pValues[index] as number)));
    adjusted[index] = largest;
  });
  return adjusted;
}
