/** What every measure looks at: one query's ranking as judgements by rank, and all judgements of the query. */
export interface JudgedRanking {
  /** Grade by rank, best first; negative where nobody judged the document. */
  readonly grades: readonly number[];
  /** Every grade of the query that is not negative, retrieved or not, largest first. */
  readonly judged: readonly number[];
  /** A document is relevant from this grade on. */
  readonly level: number;
  /** Judged documents that are relevant. */
  readonly relevant: number;
  /** Documents of the ranking that are relevant. */
  readonly relevantRetrieved: number;
}

/**
 * @param grades by rank, best first; negative where nobody judged the document
 * @param judged grades of all documents of the query, in any order; default: those of the ranking, which then holds all
 * @param level a document is relevant from this grade on; default: above 0
 */
export function judgedRanking(
  grades: readonly number[],
  judged: Iterable<number> = grades,
  level = Number.MIN_VALUE,
): JudgedRanking {
  const isRelevant = (grade: number): boolean => grade >= level;
  const sorted = [...judged].filter((grade) => grade >= 0).sort((a, b) => b - a);
  return {
    grades,
    judged: sorted,
    level,
    relevant: sorted.filter(isRelevant).length,
    relevantRetrieved: grades.filter(isRelevant).length,
  };
}

/** Relevant documents among the first `depth`. */
export function relevantWithin({ grades, level }: JudgedRanking, depth: number): number {
  const end = Math.min(depth, grades.length);
  let count = 0;
  for (let i = 0; i < end; i++) if ((grades[i] as number) >= level) count++;
  return count;
}
