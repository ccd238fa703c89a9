/** Measures by name, over rankings that hold every candidate of an instance. */
import { WinnowError } from '../errors.js';
import { type Gain, judgedRanking, ndcg, reciprocalRank, success } from './measures/index.js';

export type MeasureName = 'MRR' | `nDCG@${number}` | `Hit@${number}`;

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

/** @param grades relevance by rank, best first; relevant is what has a grade above 0 */
export function measure(name: string, grades: readonly number[], gain: Gain = 'linear'): number {
  const { kind, k } = parseMeasure(name);
  const ranking = judgedRanking(grades);
  if (kind === 'MRR') return reciprocalRank(ranking);
  return kind === 'Hit' ? success(ranking, k) : ndcg(ranking, k, gain);
}
