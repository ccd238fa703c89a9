import type { JudgedRanking } from './judged-ranking.js';

/** How a recall becomes a number of relevant documents; trec_eval changed it with version 10. */
export type RecallRounding = 'nearly_up' | 'nearest';

/**
 * Interpolated precision at a recall: the largest precision at any rank where at least recall x R relevant documents are found; 0
 * when the ranking never finds so many.
 *
 * @param recall 0 to 1
 * @param rounding of recall x R: `nearly_up` adds 0.9 and cuts off (trec_eval 9), `nearest` rounds halves away from zero (10)
 */
export function interpolatedPrecision(
  { grades, level, relevant }: JudgedRanking,
  recall: number,
  rounding: RecallRounding = 'nearly_up',
): number {
  const share = recall * relevant;
  const needed = rounding === 'nearly_up' ? Math.floor(share + 0.9) : Math.round(share);
  let found = 0;
  let best = 0;
  for (let i = 0; i < grades.length; i++) {
    if ((grades[i] as number) < level) continue;
    found++;
    if (found >= needed) best = Math.max(best, found / (i + 1));
  }
  return best;
}
