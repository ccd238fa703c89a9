import type { JudgedRanking } from './judged-ranking.js';

/** Mean, over all relevant documents, of the precision at their ranks; those beyond `depth` or not retrieved count 0. */
export function averagePrecision({ grades, level, relevant }: JudgedRanking, depth = Number.POSITIVE_INFINITY): number {
  const end = Math.min(depth, grades.length);
  let found = 0;
  let sum = 0;
  for (let i = 0; i < end; i++) {
    if ((grades[i] as number) < level) continue;
    found++;
    sum += found / (i + 1);
  }
  return found === 0 ? 0 : sum / relevant;
}
