import { dcgAt, discount, type Gain, gainOf } from './measures/index.js';
import { parseMeasure } from './named-measure.js';

/**
 * P(the first `count` of a uniformly random order hold no relevant one) = C(n - R, count) / C(n, count), for n candidates of
 * which R are relevant.
 */
function noneAmongFirst(total: number, relevant: number, count: number): number {
  let probability = 1;
  for (let i = 0; i < count; i++) probability *= Math.max(0, total - relevant - i) / (total - i);
  return probability;
}

/**
 * The exact expectation of a measure under a uniformly random order of these candidates.
 *
 * - MRR: sum over r of (1 / r) P(first relevant at r), with P = none among the first r - 1, not none among the first r.
 *   One relevant of n gives H_n / n.
 * - Hit@k: 1 - P(none among the first k).
 * - nDCG@k: every rank holds the mean gain, so the mean gain times the sum of discounts, over the ideal DCG.
 *
 * @param grades relevance of the candidates, in any order
 */
export function chanceOf(name: string, grades: readonly number[], gain: Gain = 'linear'): number {
  const { kind, k } = parseMeasure(name);
  const total = grades.length;
  const relevant = grades.filter((grade) => grade > 0).length;
  if (relevant === 0) return 0;
  const depth = Math.min(k, total);
  if (kind === 'Hit') return 1 - noneAmongFirst(total, relevant, depth);
  if (kind === 'MRR') {
    let sum = 0;
    for (let rank = 1; rank <= total; rank++) {
      sum += (noneAmongFirst(total, relevant, rank - 1) - noneAmongFirst(total, relevant, rank)) / rank;
    }
    return sum;
  }
  const ideal = dcgAt(
    grades.slice().sort((a, b) => b - a),
    k,
    gain,
  );
  const meanGain = grades.reduce((sum, grade) => sum + gainOf(grade, gain), 0) / total;
  let discounts = 0;
  for (let rank = 1; rank <= depth; rank++) discounts += discount(rank);
  return (meanGain * discounts) / ideal;
}

/**
 * The chance that one uniformly random exclusion is right: the share of the least relevant among the candidates shown.
 *
 * @param grades relevance of the candidates shown
 */
export function chanceOfRightExclusion(grades: readonly number[]): number {
  const least = Math.min(...grades);
  return grades.filter((grade) => grade === least).length / grades.length;
}
