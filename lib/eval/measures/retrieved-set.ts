/** Measures of the retrieved documents as a set, whatever their order. */
import type { JudgedRanking } from './judged-ranking.js';

const ratio = (numerator: number, denominator: number): number => (denominator === 0 ? 0 : numerator / denominator);

/** Relevant retrieved over retrieved. */
export const setPrecision = ({ grades, relevantRetrieved }: JudgedRanking): number =>
  ratio(relevantRetrieved, grades.length);

/** Relevant retrieved over relevant. */
export const setRecall = ({ relevant, relevantRetrieved }: JudgedRanking): number => ratio(relevantRetrieved, relevant);

/** Set precision over the largest that a set of this size can have. */
export const setRelativePrecision = ({ grades, relevant, relevantRetrieved }: JudgedRanking): number =>
  ratio(relevantRetrieved, Math.min(grades.length, relevant));

/** Set precision x set recall: average precision with the set's precision at every relevant document. */
export const setAveragePrecision = ({ grades, relevant, relevantRetrieved }: JudgedRanking): number =>
  ratio(relevantRetrieved * relevantRetrieved, grades.length * relevant);

/** (x + 1) P R / (x P + R) of set precision P and set recall R, a variant of van Rijsbergen's E (1979). @param x weight of R */
export function setF(ranking: JudgedRanking, x = 1): number {
  if (ranking.relevantRetrieved === 0) return 0;
  const precision = setPrecision(ranking);
  const recall = setRecall(ranking);
  return ((x + 1) * precision * recall) / (x * precision + recall);
}

/** Relevant retrieved minus other retrieved: trec_eval's utility with its default weights 1, -1, 0, 0. */
export const utility = ({ grades, relevantRetrieved }: JudgedRanking): number => 2 * relevantRetrieved - grades.length;
