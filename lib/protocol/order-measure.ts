/** What an order of graded candidates is worth, as rewards count it. Every relevant candidate counts at its own rank. */

/** `ndcg`: discount 1 / log2(rank + 1) (Järvelin and Kekäläinen, 2002). `reciprocal_rank`: 1 / rank; for one relevant candidate that is MRR. */
export type OrderMeasure = 'ndcg' | 'reciprocal_rank';

/** @param rank from 1 */
export function rankDiscount(measure: OrderMeasure, rank: number): number {
  return measure === 'ndcg' ? 1 / Math.log2(rank + 1) : 1 / rank;
}

/** Sum of grade x discount over the first `k` of `grades`, whose first stands at rank `firstRank`. */
export function discountedGain(
  measure: OrderMeasure,
  grades: readonly number[],
  k = Number.POSITIVE_INFINITY,
  firstRank = 1,
): number {
  return grades.reduce((sum, grade, index) => {
    const rank = firstRank + index;
    return rank > k || grade <= 0 ? sum : sum + grade * rankDiscount(measure, rank);
  }, 0);
}

/** The largest gain that any order of these grades has. */
export function idealGain(measure: OrderMeasure, grades: readonly number[], k?: number, firstRank?: number): number {
  return discountedGain(
    measure,
    grades.slice().sort((a, b) => b - a),
    k,
    firstRank,
  );
}

/**
 * Gain of an order over that of the best order, 0 to 1; 0 when nothing is relevant. It rises strictly when a candidate within the
 * first `k` moves up past a less relevant one.
 *
 * @param grades by rank, best first; what the order left out is simply not there
 * @param all grades of all candidates
 */
export function normalisedGain(
  measure: OrderMeasure,
  grades: readonly number[],
  all: readonly number[],
  k?: number,
): number {
  const ideal = idealGain(measure, all, k);
  return ideal === 0 ? 0 : discountedGain(measure, grades, k) / ideal;
}
