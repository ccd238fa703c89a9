/** A run beside its judgements, as trec_eval sees it. */
import type { Qrels, RunEntry } from '../../data/index.js';
import { type JudgedRanking, judgedRanking } from '../measures/index.js';

/** Where releases of trec_eval differ: 9 compares scores as float32, 10 as double. */
export type TrecEvalVersion = 9 | 10;

export interface JudgeOptions {
  /** A document is relevant from this grade on (-l). */
  readonly level: number;
  /** Unjudged documents leave the ranking (-J), after the cut of `maxRetrieved`. */
  readonly judgedOnly: boolean;
  /** Only the first of each query (-M). */
  readonly maxRetrieved: number;
  readonly version: TrecEvalVersion;
}

/** Where UTF-16 and UTF-8 order differ: surrogates stand for the code points above all others. */
const codePointOrder = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800);

/** The order of strcmp over UTF-8, which is that of the code points. */
export function compareBytes(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  for (let i = 0; i < end; i++) {
    const difference = codePointOrder(a.charCodeAt(i)) - codePointOrder(b.charCodeAt(i));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** trec_eval's order: score descending, equal scores by document id descending. */
export function orderByScore(entries: readonly RunEntry[], version: TrecEvalVersion = 9): string[] {
  const round = version === 9 ? Math.fround : (score: number): number => score;
  const rounded = entries.map(({ documentId, score }) => ({ documentId, score: round(score) }));
  // Scores beyond float32 are infinite and equal; their difference would be NaN.
  rounded.sort((a, b) => (a.score > b.score ? -1 : a.score < b.score ? 1 : compareBytes(b.documentId, a.documentId)));
  return rounded.map(({ documentId }) => documentId);
}

const unjudged = -1;

/** The ranking of one query as its measures see it. */
export function judgeQuery(
  entries: readonly RunEntry[],
  grades: ReadonlyMap<string, number>,
  { level, judgedOnly, maxRetrieved, version }: JudgeOptions,
): JudgedRanking {
  const retrieved = orderByScore(entries, version)
    .slice(0, maxRetrieved)
    .map((documentId) => grades.get(documentId) ?? unjudged);
  return judgedRanking(judgedOnly ? retrieved.filter((grade) => grade >= 0) : retrieved, grades.values(), level);
}

/** Documents with a grade above 0, whatever the level: trec_eval's num_rel over all queries of the judgements (-c). */
export function countPositive(qrels: Qrels): number {
  let count = 0;
  for (const grades of qrels.values()) for (const grade of grades.values()) if (grade > 0) count++;
  return count;
}
