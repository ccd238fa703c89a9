import type { JudgedRanking } from './judged-ranking.js';

/**
 * Binary preference (Buckley and Voorhees, SIGIR 2004, in trec_eval's form): the mean over all R relevant documents of
 * 1 - min(n, R) / min(N, R), with n the judged irrelevant documents ranked above and N all judged irrelevant ones. Documents that
 * nobody judged play no part.
 */
export function bpref({ grades, judged, level, relevant }: JudgedRanking): number {
  const irrelevant = judged.length - relevant;
  let above = 0;
  let sum = 0;
  for (const grade of grades) {
    if (grade >= level) sum += above === 0 ? 1 : 1 - Math.min(above, relevant) / Math.min(irrelevant, relevant);
    else if (grade >= 0) above++;
  }
  return relevant === 0 ? 0 : sum / relevant;
}
