import type { Answer, RankingInstance, Reward } from '../types.js';
import { normalisedGain, type OrderMeasure } from './order-measure.js';
import { gradesById } from './shown.js';

/** How much each part counts in `Reward.value`. */
export interface ListWeights {
  /** Part `order`: the measure of the order, 0 to 1; what the list leaves out earns nothing. Default 1. */
  readonly order: number;
  /** Part `tail`, only with a cut-off `k`: the same measure without it, so that ranks below `k` count a little. Default 0.1. */
  readonly tail: number;
  /** Part `coverage`: candidates listed / shown - 1. Default 1. */
  readonly coverage: number;
  /** Part `duplicates`: - repetitions / shown, at least -1. Default 1. */
  readonly duplicates: number;
  /** Part `unknown`: - pieces that name no candidate / shown, at least -1. Default 1. */
  readonly unknown: number;
  /** Part `format_think`: 0, or -1 unless the thought is closed exactly once. Default 0.5. */
  readonly formatThink: number;
  /** Part `format_answer`: 0, or -1 unless there is exactly one answer and nothing after it. Default 0.5. */
  readonly formatAnswer: number;
}

export const defaultListWeights: ListWeights = {
  order: 1,
  tail: 0.1,
  coverage: 1,
  duplicates: 1,
  unknown: 1,
  formatThink: 0.5,
  formatAnswer: 0.5,
};

export interface ListRewardOptions {
  readonly measure: OrderMeasure;
  /** Cut-off of the measure; undefined = none. */
  readonly k: number | undefined;
  readonly weights: ListWeights;
}

/**
 * What a listed order earns (R1-Ranker's DRanker: a measure of the order and a penalty for a wrong composition). It rises strictly
 * when a candidate moves up past a less relevant one, and when a missing candidate is added. A completion without a readable list
 * lists nothing: its order is worth 0 and its coverage -1.
 *
 * @param shownIds the candidates that the prompt showed
 */
export function listReward(
  instance: RankingInstance,
  shownIds: readonly string[],
  answer: Answer,
  { measure, k, weights }: ListRewardOptions,
): Reward {
  const list = answer.ok ? { ids: answer.ids, duplicates: 0, unknown: 0 } : answer.list;
  const shown = shownIds.length;
  const gradeOf = gradesById(instance);
  const grade = (id: string): number => gradeOf.get(id) ?? 0;
  const listed = (list?.ids ?? []).map(grade);
  const all = shownIds.map(grade);
  const cut = k !== undefined && k < shown;
  const parts = {
    order: normalisedGain(measure, listed, all, k),
    ...(cut ? { tail: normalisedGain(measure, listed, all) } : {}),
    coverage: listed.length / shown - 1,
    duplicates: noMinusZero(-Math.min(1, (list?.duplicates ?? 0) / shown)),
    unknown: noMinusZero(-Math.min(1, (list?.unknown ?? 0) / shown)),
    format_think: answer.ok || answer.format.think ? 0 : -1,
    format_answer: answer.ok || answer.format.answer ? 0 : -1,
  };
  const value =
    weights.order * parts.order +
    weights.tail * (parts.tail ?? 0) +
    weights.coverage * parts.coverage +
    weights.duplicates * parts.duplicates +
    weights.unknown * parts.unknown +
    weights.formatThink * parts.format_think +
    weights.formatAnswer * parts.format_answer;
  return { value, parts };
}

const noMinusZero = (value: number): number => (value === 0 ? 0 : value);
