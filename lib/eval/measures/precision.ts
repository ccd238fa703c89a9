import { type JudgedRanking, relevantWithin } from './judged-ranking.js';

/** Relevant documents among the first `depth`, over `depth`: a shorter ranking counts as filled up with irrelevant ones. */
export const precision = (ranking: JudgedRanking, depth: number): number => relevantWithin(ranking, depth) / depth;

/** Relevant documents among the first `depth`, over all relevant ones; 0 without any. */
export const recall = (ranking: JudgedRanking, depth: number): number =>
  ranking.relevant === 0 ? 0 : relevantWithin(ranking, depth) / ranking.relevant;

/** 1 when a relevant document is among the first `depth`, else 0; also called Hit@k. */
export const success = (ranking: JudgedRanking, depth: number): number => (relevantWithin(ranking, depth) > 0 ? 1 : 0);

/** Precision at the rank R, the number of relevant documents; 0 without any. */
export const rPrecision = (ranking: JudgedRanking): number => recall(ranking, ranking.relevant);
