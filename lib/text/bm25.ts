import { WinnowError } from '../errors.js';

export interface Bm25Options {
  /** How fast repetitions of a term saturate; default 0.9, as Anserini sets it for passages. */
  readonly k1?: number;
  /** How much length matters, 0 to 1; default 0.4. */
  readonly b?: number;
  /** Lengths as Lucene stores them, in one byte: exact up to 40 terms, then with three to four significant bits. Default true. */
  readonly luceneLengths?: boolean;
}

/** Four significant bits of `value`: what Lucene's SmallFloat keeps of it, by truncation. */
function truncated(value: number): number {
  const shift = Math.max(0, Math.floor(Math.log2(Math.max(1, value))) - 3);
  return Math.floor(value / 2 ** shift) * 2 ** shift;
}

/** Lucene's `byte4ToInt(intToByte4(length))`: 24 values are free, the rest keeps four significant bits. */
function storedLength(length: number): number {
  return length < 24 ? length : 24 + truncated(length - 24);
}

interface Postings {
  readonly documents: number[];
  readonly frequencies: number[];
}

/**
 * BM25 as Lucene computes it since version 8 (BM25Similarity): for every query term, with repetition,
 * ln(1 + (N - n + 0.5) / (n + 0.5)) x f / (f + k1 (1 - b + b L / mean L)), for f occurrences in a document of L terms, n of N
 * documents with the term. The mean is over documents that hold a term at all.
 */
export class Bm25Index {
  readonly #postings = new Map<string, Postings>();
  /** k1 (1 - b + b L / mean L) by document. */
  readonly #norms: Float64Array;
  readonly #norm: (length: number) => number;
  readonly #documentCount: number;

  /** @param documents index terms of each document, e.g. of `englishTerms` */
  constructor(documents: readonly (readonly string[])[], options: Bm25Options = {}) {
    const { k1 = 0.9, b = 0.4, luceneLengths = true } = options;
    if (!(Number.isFinite(k1) && k1 >= 0 && b >= 0 && b <= 1)) {
      throw new WinnowError('ERR_BM25_OPTION', 'BM25 cannot use these settings', {
        expected: 'k1 of at least 0 and b from 0 to 1',
        received: `k1 ${k1}, b ${b}`,
      });
    }
    const filled = documents.filter(({ length }) => length > 0);
    this.#documentCount = filled.length;
    const meanLength = filled.reduce((sum, { length }) => sum + length, 0) / Math.max(1, filled.length);
    this.#norm = (length) =>
      length === 0 ? 0 : k1 * (1 - b + (b * (luceneLengths ? storedLength(length) : length)) / (meanLength || 1));
    this.#norms = Float64Array.from(documents, ({ length }) => this.#norm(length));
    for (const [document, terms] of documents.entries()) this.#add(terms, document);
  }

  #add(terms: readonly string[], document: number): void {
    for (const term of terms) {
      let postings = this.#postings.get(term);
      if (!postings) {
        postings = { documents: [], frequencies: [] };
        this.#postings.set(term, postings);
      }
      const last = postings.documents.length - 1;
      if (postings.documents[last] === document) {
        postings.frequencies[last] = (postings.frequencies[last] as number) + 1;
      } else {
        postings.documents.push(document);
        postings.frequencies.push(1);
      }
    }
  }

  /** Scores of all documents, in their order; 0 without a common term. */
  scores(query: readonly string[]): Float64Array {
    const scores = new Float64Array(this.#norms.length);
    for (const term of query) {
      const postings = this.#postings.get(term);
      if (!postings) continue;
      const count = postings.documents.length;
      const idf = this.#idf(count);
      for (let at = 0; at < count; at++) {
        const document = postings.documents[at] as number;
        const frequency = postings.frequencies[at] as number;
        scores[document] =
          (scores[document] as number) + (idf * frequency) / (frequency + (this.#norms[document] as number));
      }
    }
    return scores;
  }

  #idf(count: number): number {
    return Math.log(1 + (this.#documentCount - count + 0.5) / (count + 0.5));
  }

  /** The score that a document which need not be in the index would have, with the index's counts and mean length. */
  scoreOf(query: readonly string[], document: readonly string[]): number {
    const frequencies = new Map<string, number>();
    for (const term of document) frequencies.set(term, (frequencies.get(term) ?? 0) + 1);
    return query.reduce((sum, term) => {
      const frequency = frequencies.get(term) ?? 0;
      if (frequency === 0) return sum;
      const idf = this.#idf(this.#postings.get(term)?.documents.length ?? 0);
      return sum + (idf * frequency) / (frequency + this.#norm(document.length));
    }, 0);
  }
}
