import type { JudgedRanking } from './judged-ranking.js';

/** 1 / rank of the first relevant document; 0 when there is none within `depth`. */
export function reciprocalRank({ grades, level }: JudgedRanking, depth = Number.POSITIVE_INFINITY): number {
  const first = grades.findIndex((grade) => grade >= level);
  return first === -1 || first >= depth ? 0 : 1 / (first + 1);
}
