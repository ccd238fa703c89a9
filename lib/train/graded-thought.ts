/**
 * A teacher for from-scratch rankers of a recommendation task: its thought walks through the candidates in the order shown and
 * writes each one's label, title and grade; its order is that of the grades. Every grade is a training signal of its own, where
 * the answer alone tells next to nothing: any of n - 1 candidates is right.
 *
 * The grades are weighted co-occurrence with what the user took last, counted over the OTHER training users: with the user's own
 * sequence in the counts the target would give itself away, and no such hint exists for a test user.
 */
import { coOccurrenceScorer } from '../eval/index.js';
import { writePhrase } from '../protocol/index.js';
import type { RandomStream } from '../random.js';
import type { Prompt, RankingInstance } from '../types.js';

/** Grades are 0 .. kGrades - 1. */
export const kGrades = 16;
/**
 * Share of the candidates above the lowest threshold, and above the highest; the shares between fall geometrically, because who
 * is on top decides more than who is at the bottom.
 */
const kLargestShare = 0.6;
const kSmallestShare = 0.01;
/** Instances whose candidates fix the thresholds. */
const kReferenceInstances = 2000;

type Sequences = readonly { readonly userId: string; readonly itemIds: readonly string[] }[];

/** Grades of all candidates of an instance, by candidate id. */
export type Grader = (instance: RankingInstance) => ReadonlyMap<string, number>;

/** `count` - 1 ascending thresholds; the grade of a score is the number of thresholds that it exceeds. */
export function gradeThresholds(scores: readonly number[], count: number): number[] {
  const ascending = scores.toSorted((a, b) => a - b);
  return Array.from({ length: count - 1 }, (_, index) => {
    const share = kLargestShare * (kSmallestShare / kLargestShare) ** (index / Math.max(1, count - 2));
    return ascending[Math.floor((1 - share) * ascending.length)] as number;
  });
}

/** Leave-one-out: the sequence of an instance's own user never counts. */
export function coOccurrenceGrader(instances: readonly RankingInstance[], trainSequences: Sequences): Grader {
  const byUser = new Map(trainSequences.map(({ userId, itemIds }) => [userId, itemIds]));
  const score = coOccurrenceScorer([...byUser.values()], {
    without: ({ meta }) => byUser.get(String(meta?.userId)),
  });
  const stride = Math.max(1, Math.floor(instances.length / kReferenceInstances));
  const reference = instances.filter((_, index) => index % stride === 0);
  const thresholds = gradeThresholds(reference.flatMap(score), kGrades);
  return (instance) => {
    const scores = score(instance);
    const gradeOf = (value: number): number => thresholds.filter((threshold) => value > threshold).length;
    return new Map(instance.candidates.map(({ id }, index) => [id, gradeOf(scores[index] as number)]));
  };
}

/** The thought in full, and the order it leads to: by grade, ties at random. */
export function gradedThought(
  instance: RankingInstance,
  prompt: Prompt,
  grades: ReadonlyMap<string, number>,
  random: RandomStream,
): { readonly thought: string; readonly bestFirst: readonly string[] } {
  const texts = new Map(instance.candidates.map(({ id, text }) => [id, text]));
  const gradeOf = (id: string): number => grades.get(id) ?? 0;
  const shown = [...prompt.labels];
  const thought = shown.map(([label, id]) => ` [${label}]${writePhrase(texts.get(id) ?? '')} ${gradeOf(id)}`).join('');
  const bestFirst = random.shuffled(shown.map(([, id]) => id)).sort((a, b) => gradeOf(b) - gradeOf(a));
  return { thought, bestFirst };
}
