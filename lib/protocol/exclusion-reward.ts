import type { Answer, RankingInstance, Reward } from '../types.js';

/** How much each part counts in `Reward.value`. */
export interface ExclusionWeights {
  /** Part `exclusion`: +1 a least relevant candidate excluded, 0 a more relevant one, -0.5 no candidate named. Default 1. */
  readonly exclusion: number;
  /** Part `format_think`: 0, or -1 unless the thought is closed exactly once. Default 0.5. */
  readonly formatThink: number;
  /** Part `format_answer`: 0, or -1 unless there is exactly one answer and nothing after it. Default 0.5. */
  readonly formatAnswer: number;
}

export const defaultExclusionWeights: ExclusionWeights = { exclusion: 1, formatThink: 0.5, formatAnswer: 0.5 };

/**
 * The reward of R1-Ranker's exclusion step, scored on the completion alone. With graded relevance or several relevant
 * candidates, excluding one is right when no candidate shown is less relevant, so excluding a relevant one while a less
 * relevant one remains gives 0.
 *
 * @param shownIds the candidates that the prompt showed
 */
export function exclusionReward(
  instance: RankingInstance,
  shownIds: Iterable<string>,
  answer: Answer,
  weights: ExclusionWeights,
): Reward {
  const parts = {
    exclusion: answer.ok ? exclusionPart(instance, shownIds, answer.ids) : -0.5,
    format_think: answer.ok || answer.format.think ? 0 : -1,
    format_answer: answer.ok || answer.format.answer ? 0 : -1,
  };
  const value =
    weights.exclusion * parts.exclusion +
    weights.formatThink * parts.format_think +
    weights.formatAnswer * parts.format_answer;
  return { value, parts };
}

/** Whether excluding `id` keeps every more relevant candidate of `shownIds`. */
export function isRightExclusion(instance: RankingInstance, shownIds: Iterable<string>, id: string): boolean {
  const gradeOf = new Map(
    instance.candidates.map((candidate, index) => [candidate.id, instance.relevance[index] ?? 0]),
  );
  let least = Number.POSITIVE_INFINITY;
  for (const shown of shownIds) least = Math.min(least, gradeOf.get(shown) ?? 0);
  return (gradeOf.get(id) ?? 0) <= least;
}

function exclusionPart(instance: RankingInstance, shownIds: Iterable<string>, ids: readonly string[]): number {
  const shown = new Set(shownIds);
  const [id] = ids;
  if (ids.length !== 1 || id === undefined || !shown.has(id)) return -0.5;
  return isRightExclusion(instance, shown, id) ? 1 : 0;
}
