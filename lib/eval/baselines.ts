import type { RankingInstance } from '../types.js';

/** Scores the candidates of an instance, aligned with them; higher is better. */
export type Scorer = (instance: RankingInstance) => readonly number[];

/** What a training user took: item ids, oldest first. */
export type Sequences = readonly (readonly string[])[];

/** Past item ids of an instance, oldest first, as the task builders note them; empty when they did not. */
export function historyOf(instance: RankingInstance): readonly string[] {
  const history = instance.meta?.historyItemIds;
  return Array.isArray(history) ? (history as string[]) : [];
}

/** Candidate ids, best first; ties keep the order of the instance, which the builders shuffle. */
export function rankByScores(instance: RankingInstance, scores: readonly number[]): string[] {
  return instance.candidates
    .map(({ id }, index) => ({ id, score: scores[index] as number }))
    .sort((a, b) => b.score - a.score)
    .map(({ id }) => id);
}

export function countItems(sequences: Sequences): Map<string, number> {
  const counts = new Map<string, number>();
  for (const sequence of sequences) {
    for (const item of new Set(sequence)) counts.set(item, (counts.get(item) ?? 0) + 1);
  }
  return counts;
}

/** How many training users took the item. */
export function popularityScorer(sequences: Sequences): Scorer {
  const counts = countItems(sequences);
  return (instance) => instance.candidates.map(({ id }) => counts.get(id) ?? 0);
}

/** Users of each item, for counts of common users. */
function usersByItem(sequences: Sequences): Map<string, Set<number>> {
  const users = new Map<string, Set<number>>();
  sequences.forEach((sequence, user) => {
    for (const item of sequence) {
      const ofItem = users.get(item) ?? new Set<number>();
      users.set(item, ofItem);
      ofItem.add(user);
    }
  });
  return users;
}

function commonUsers(a: ReadonlySet<number> | undefined, b: ReadonlySet<number> | undefined): number {
  if (!a || !b) return 0;
  const [small, large] = a.size < b.size ? [a, b] : [b, a];
  let common = 0;
  for (const user of small) if (large.has(user)) common++;
  return common;
}

/** Item-based neighbours (Sarwar et al., 2001): the sum of cosines |A and B| / sqrt(|A| |B|) with every past item. */
export function cosineScorer(sequences: Sequences): Scorer {
  const users = usersByItem(sequences);
  return (instance) =>
    instance.candidates.map(({ id }) => {
      const ofCandidate = users.get(id);
      return historyOf(instance).reduce((sum, past) => {
        const ofPast = users.get(past);
        if (!ofCandidate || !ofPast) return sum;
        return sum + commonUsers(ofCandidate, ofPast) / Math.sqrt(ofCandidate.size * ofPast.size);
      }, 0);
    });
}

/** The order in which the instance has its candidates: of a shuffled task chance, of a reranked run the first stage. */
export const originalOrderScorer: Scorer = (instance) => instance.candidates.map((_, index) => -index);
