import type { Answer, RankingInstance, Reward } from '../types.js';
import { discountedGain, idealGain, type OrderMeasure } from './order-measure.js';
import { gradesById } from './shown.js';

/** How much each part counts in `Reward.value`. */
export interface ExclusionWeights {
  /**
   * Part `exclusion`: +1 a least relevant candidate excluded, 0 a more relevant one, -0.5 no candidate named; the mean over them
   * where a step excludes several. Or part `potential`, see `ExclusionRewardRules`. Default 1.
   */
  readonly exclusion: number;
  /** Part `format_think`: 0, or -1 unless the thought is closed exactly once. Default 0.5. */
  readonly formatThink: number;
  /** Part `format_answer`: 0, or -1 unless there is exactly one answer and nothing after it. Default 0.5. */
  readonly formatAnswer: number;
}

export const defaultExclusionWeights: ExclusionWeights = { exclusion: 1, formatThink: 0.5, formatAnswer: 0.5 };

export interface ExclusionRewardRules {
  /** Which end of the order a step takes candidates from. */
  readonly direction: 'worst' | 'best';
  /**
   * `step`: right or not. `potential`: how much of the measure of the final order this step gives away, at most 0. The rewards of
   * all steps of a ranking add up to its measure - 1, so losing a relevant candidate early costs more than losing it late.
   */
  readonly form: 'step' | 'potential';
  readonly measure: OrderMeasure;
  /** Cut-off of the measure; undefined = none. */
  readonly k: number | undefined;
}

export const stepRules: ExclusionRewardRules = { direction: 'worst', form: 'step', measure: 'ndcg', k: undefined };

/**
 * The reward of R1-Ranker's exclusion step, scored on the completion alone. With graded relevance or several relevant
 * candidates, excluding one is right when no candidate shown is less relevant, so excluding a relevant one while a less
 * relevant one remains gives 0. For `direction: 'best'` the same with most and more.
 *
 * @param shownIds the candidates that the prompt showed
 * @param count how many candidates the prompt asks for
 */
export function exclusionReward(
  instance: RankingInstance,
  shownIds: Iterable<string>,
  answer: Answer,
  weights: ExclusionWeights,
  rules: ExclusionRewardRules = stepRules,
  count = 1,
): Reward {
  const shown = [...shownIds];
  const ids = answer.ok ? answer.ids : [];
  const valid = ids.length === count && new Set(ids).size === count && ids.every((id) => shown.includes(id));
  const main = rules.form === 'step' ? stepPart : potentialPart;
  const part = main(instance, shown, valid ? ids : undefined, rules, count);
  const format = {
    format_think: answer.ok || answer.format.think ? 0 : -1,
    format_answer: answer.ok || answer.format.answer ? 0 : -1,
  };
  const value =
    weights.exclusion * part + weights.formatThink * format.format_think + weights.formatAnswer * format.format_answer;
  return { value, parts: { [rules.form === 'step' ? 'exclusion' : 'potential']: part, ...format } };
}

/** Whether excluding `id` keeps every more relevant candidate of `shownIds`. */
export function isRightExclusion(instance: RankingInstance, shownIds: Iterable<string>, id: string): boolean {
  const gradeOf = gradesById(instance);
  let least = Number.POSITIVE_INFINITY;
  for (const shown of shownIds) least = Math.min(least, gradeOf.get(shown) ?? 0);
  return (gradeOf.get(id) ?? 0) <= least;
}

type RewardPart = (
  instance: RankingInstance,
  shown: readonly string[],
  /** Undefined when the answer names no candidates that can be taken. */
  ids: readonly string[] | undefined,
  rules: ExclusionRewardRules,
  count: number,
) => number;

const stepPart: RewardPart = (instance, shown, ids, { direction }) => {
  if (ids === undefined) return -0.5;
  const gradeOf = gradesById(instance);
  const gradesLeft = new Map(shown.map((id) => [id, gradeOf.get(id) ?? 0]));
  let right = 0;
  for (const id of ids) {
    const extreme = direction === 'worst' ? Math.min(...gradesLeft.values()) : Math.max(...gradesLeft.values());
    if (gradesLeft.get(id) === extreme) right++;
    gradesLeft.delete(id);
  }
  return right / ids.length;
};

/** No candidate named costs 0.5 more than the worst that could have been named. */
const potentialPart: RewardPart = (instance, shown, ids, rules, count) => {
  const gradeOf = gradesById(instance);
  const grades = shown.map((id) => gradeOf.get(id) ?? 0);
  if (ids !== undefined) {
    const taken = ids.map((id) => gradeOf.get(id) ?? 0);
    return potentialChange(instance.relevance, grades, taken, rules);
  }
  const ascending = grades.toSorted((a, b) => a - b);
  const worst = (rules.direction === 'worst' ? ascending.toReversed() : ascending).slice(0, count);
  return potentialChange(instance.relevance, grades, worst, rules) - 0.5;
};

/**
 * The potential of a state is the best measure that its final order can still have: what was taken stands at its rank, and the rest
 * in the ideal order (shaping by a potential: Ng, Harada and Russell, 1999). This is its change when `taken` go, in this order.
 *
 * @param all grades of all candidates of the instance
 * @param shown grades of the candidates that were left before
 */
export function potentialChange(
  all: readonly number[],
  shown: readonly number[],
  taken: readonly number[],
  { direction, measure, k }: Pick<ExclusionRewardRules, 'direction' | 'measure' | 'k'>,
): number {
  const ideal = idealGain(measure, all, k);
  if (ideal === 0) return 0;
  const left = shown.slice();
  for (const grade of taken) left.splice(left.indexOf(grade), 1);
  // The ranks that are open: the first ones when the worst go, the last ones when the best go.
  const first = direction === 'worst' ? 1 : all.length - shown.length + 1;
  const takenFrom = direction === 'worst' ? first + left.length : first;
  const leftFrom = direction === 'worst' ? first : first + taken.length;
  const placed = direction === 'worst' ? taken.toReversed() : taken;
  const after = discountedGain(measure, placed, k, takenFrom) + idealGain(measure, left, k, leftFrom);
  const change = (after - idealGain(measure, shown, k, first)) / ideal;
  // A right step changes nothing; what rounding leaves is no loss.
  return Math.abs(change) < 1e-12 ? 0 : change;
}
