import type { JudgedRanking } from './judged-ranking.js';

/** `linear` counts the grade itself (trec_eval); `exponential` 2^grade - 1 (Burges et al., 2005). */
export type Gain = 'linear' | 'exponential';

/** Discount of rank `rank` (from 1): 1 / log2(rank + 1) (Järvelin and Kekäläinen, 2002). */
export const discount = (rank: number): number => 1 / Math.log2(rank + 1);

/** 0 for what nobody judged. */
export function gainOf(grade: number, gain: Gain): number {
  if (grade <= 0) return 0;
  return gain === 'linear' ? grade : 2 ** grade - 1;
}

/** Discounted cumulative gain of the first `depth`: sum of gain / log2(rank + 1). */
export function dcgAt(grades: readonly number[], depth: number, gain: Gain = 'linear'): number {
  const end = Math.min(depth, grades.length);
  let sum = 0;
  // Divided as trec_eval does, for its last bit.
  for (let i = 0; i < end; i++) sum += gainOf(grades[i] as number, gain) / Math.log2(i + 2);
  return sum;
}

/** DCG over that of the best order of all judged documents; 0 when nothing is relevant. The level of relevance plays no part. */
export function ndcg(
  { grades, judged }: JudgedRanking,
  depth = Number.POSITIVE_INFINITY,
  gain: Gain = 'linear',
): number {
  const ideal = dcgAt(judged, depth, gain);
  return ideal === 0 ? 0 : dcgAt(grades, depth, gain) / ideal;
}
