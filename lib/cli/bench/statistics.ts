/** Numbers over the trials of one case. */

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Median absolute deviation from the median. */
  readonly mad: number;
}

export function spread(values: readonly number[]): Spread {
  const middle = median(values);
  const mad = median(values.map((value) => Math.abs(value - middle)));
  return { median: middle, min: Math.min(...values), max: Math.max(...values), mad };
}
