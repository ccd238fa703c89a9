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

function countItems(sequences: Sequences): Map<string, number> {
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

export interface CoOccurrenceOptions {
  /** How many of an instance's past items count; default 10. */
  readonly depth?: number;
  /** How far apart in a training sequence two items may be to occur together; default 20. */
  readonly window?: number;
}

/** Unordered pairs within `window` places of one sequence, by item and item. */
function countNeighbours(sequences: Sequences, window: number): Map<string, Map<string, number>> {
  const counts = new Map<string, Map<string, number>>();
  const add = (from: string, to: string): void => {
    const ofItem = counts.get(from) ?? new Map<string, number>();
    counts.set(from, ofItem);
    ofItem.set(to, (ofItem.get(to) ?? 0) + 1);
  };
  for (const sequence of sequences) {
    sequence.forEach((item, place) => {
      for (const other of sequence.slice(place + 1, place + 1 + window)) {
        add(item, other);
        add(other, item);
      }
    });
  }
  return counts;
}

/**
 * Weighted co-occurrence: how often the candidate and a past item are near each other in the training sequences, over
 * sqrt(users of the one x users of the other), summed over the last past items with weights 1, 1/2, 1/3, ... from the newest.
 * Nearness in time is what it knows more than `cosineScorer`.
 */
export function coOccurrenceScorer(sequences: Sequences, options: CoOccurrenceOptions = {}): Scorer {
  const { depth = 10, window = 20 } = options;
  const users = countItems(sequences);
  const neighbours = countNeighbours(sequences, window);
  return (instance) => {
    const recent = historyOf(instance).slice(-depth).reverse();
    return instance.candidates.map(({ id }) =>
      recent.reduce((sum, past, age) => {
        const together = neighbours.get(past)?.get(id) ?? 0;
        if (together === 0) return sum;
        return sum + together / Math.sqrt((users.get(past) as number) * (users.get(id) as number)) / (age + 1);
      }, 0),
    );
  };
}
