import { Bm25Index, type Bm25Options } from '../text/bm25.js';
import { englishTerms } from '../text/english-analysis.js';
import type { RankingInstance } from '../types.js';
import type { Scorer } from './baselines.js';

export interface Bm25ScorerOptions extends Bm25Options {
  /** Texts that term counts and lengths are taken from; default: of each instance its own candidates. */
  readonly collection?: readonly string[];
}

/** What a user asks, without what a task builder puts before it. */
export const queryOf = (instance: RankingInstance): string =>
  typeof instance.meta?.query === 'string' ? instance.meta.query : instance.context;

/** BM25 of the candidates' texts for the context, over the candidates or with the statistics of a whole collection. */
export function bm25Scorer({ collection, ...options }: Bm25ScorerOptions = {}): Scorer {
  const shared = collection ? new Bm25Index(collection.map(englishTerms), options) : undefined;
  return (instance) => {
    const query = englishTerms(queryOf(instance));
    const documents = instance.candidates.map(({ text }) => englishTerms(text));
    if (shared) return documents.map((terms) => shared.scoreOf(query, terms));
    return [...new Bm25Index(documents, options).scores(query)];
  };
}
