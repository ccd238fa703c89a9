import { WinnowError } from '../errors.js';

/** `linear` counts the grade itself (trec_eval); `exponential` 2^grade - 1 (Burges et al., 2005). */
export type Gain = 'linear' | 'exponential';

export type MeasureName = 'MRR' | `nDCG@${number}` | `Hit@${number}`;

/** Discount of rank `rank` (from 1): 1 / log2(rank + 1) (Järvelin and Kekäläinen, 2002). */
export const discount = (rank: number): number => 1 / Math.log2(rank + 1);

export const gainOf = (grade: number, gain: Gain): number => (gain === 'linear' ? grade : 2 ** grade - 1);

/** Reciprocal rank of the first relevant (grade > 0); `grades` by rank, best first; 0 without one. */
export function reciprocalRank(grades: readonly number[]): number {
  const first = grades.findIndex((grade) => grade > 0);
  return first === -1 ? 0 : 1 / (first + 1);
}

/** 1 when a relevant one is among the first `k`, else 0. */
export function hitAt(grades: readonly number[], k: number): number {
  return grades.slice(0, k).some((grade) => grade > 0) ? 1 : 0;
}

/** Discounted cumulative gain of the first `k`. */
export function dcgAt(grades: readonly number[], k: number, gain: Gain = 'linear'): number {
  return grades.slice(0, k).reduce((sum, grade, index) => sum + gainOf(grade, gain) * discount(index + 1), 0);
}

/** DCG over that of the best order of the same grades; 0 when nothing is relevant. */
export function ndcgAt(grades: readonly number[], k: number, gain: Gain = 'linear'): number {
  const ideal = dcgAt(
    grades.slice().sort((a, b) => b - a),
    k,
    gain,
  );
  return ideal === 0 ? 0 : dcgAt(grades, k, gain) / ideal;
}

/** A measure's name taken apart. @throws WinnowError ERR_MEASURE_UNKNOWN */
export function parseMeasure(name: string): { readonly kind: 'MRR' | 'nDCG' | 'Hit'; readonly k: number } {
  if (name === 'MRR') return { kind: 'MRR', k: Number.POSITIVE_INFINITY };
  const match = /^(nDCG|Hit)@([1-9][0-9]*)$/.exec(name);
  if (!match) {
    throw new WinnowError('ERR_MEASURE_UNKNOWN', 'there is no such measure', {
      expected: 'MRR, nDCG@k or Hit@k',
      received: name,
    });
  }
  return { kind: match[1] as 'nDCG' | 'Hit', k: Number(match[2]) };
}

/** @param grades relevance by rank, best first */
export function measure(name: string, grades: readonly number[], gain: Gain = 'linear'): number {
  const { kind, k } = parseMeasure(name);
  if (kind === 'MRR') return reciprocalRank(grades);
  return kind === 'Hit' ? hitAt(grades, k) : ndcgAt(grades, k, gain);
}
