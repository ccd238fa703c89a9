import type { JudgedRanking } from './judged-ranking.js';

/** Share of the first `depth` that somebody judged, of as many as there are; 0 for an empty ranking. */
export function judgedShare({ grades }: JudgedRanking, depth: number): number {
  const end = Math.min(depth, grades.length);
  let judged = 0;
  for (let i = 0; i < end; i++) if ((grades[i] as number) >= 0) judged++;
  return end === 0 ? 0 : judged / end;
}
