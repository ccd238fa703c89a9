import { WinnowError } from '../errors.js';
import { RandomStream } from '../random.js';

export interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  /** Default 2000. */
  readonly resamples?: number;
  /** Default 0.95. */
  readonly confidence?: number;
  /** Default 0. */
  readonly seed?: number;
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Quantile with linear interpolation between the order statistics (Hyndman and Fan, 1996, type 7). */
function quantile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below] as number;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number;
  return low + (place - below) * (high - low);
}

/**
 * Percentile bootstrap interval of a mean over instances (Efron, 1979). The resamples depend on the seed and the number of
 * values alone.
 *
 * @throws WinnowError ERR_BOOTSTRAP without values or with options out of range
 */
export function bootstrapMean(values: readonly number[], options: BootstrapOptions = {}): Interval {
  const { resamples = 2000, confidence = 0.95, seed = 0 } = options;
  if (values.length === 0 || !Number.isInteger(resamples) || resamples < 1 || !(confidence > 0 && confidence < 1)) {
    throw new WinnowError('ERR_BOOTSTRAP', 'an interval cannot be computed', {
      expected: 'at least one value, one resample, and a confidence between 0 and 1',
      received: JSON.stringify({ values: values.length, resamples, confidence }),
    });
  }
  const random = new RandomStream(seed, 'bootstrap');
  const means = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample++) {
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[random.integer(values.length)] as number;
    means[resample] = sum / values.length;
  }
  means.sort();
  const tail = (1 - confidence) / 2;
  return { mean: meanOf(values), low: quantile(means, tail), high: quantile(means, 1 - tail) };
}

/** The interval of the mean of `after[i] - before[i]`: paired by instance. */
export function bootstrapDifference(
  after: readonly number[],
  before: readonly number[],
  options: BootstrapOptions = {},
): Interval {
  if (after.length !== before.length) {
    throw new WinnowError('ERR_BOOTSTRAP', 'paired values do not match', {
      expected: `${before.length} values`,
      received: String(after.length),
    });
  }
  return bootstrapMean(
    after.map((value, index) => value - (before[index] as number)),
    options,
  );
}
