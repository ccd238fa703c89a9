/** Which evaluation of a run was the best one, and when patience with a stage is over. Pure functions of the run's records. */
import type { EvaluationRecord } from './events.js';

/** What a run can be steered by: the measures of an evaluation. */
export const kSteeringMeasures = ['mrr', 'ndcg', 'hit1', 'exclusion_accuracy', 'malformed_rate'] as const;
export type SteeringMeasure = (typeof kSteeringMeasures)[number];

export interface Patience {
  /** Evaluations in a row without a gain after which a stage ends. */
  readonly evaluations: number;
  readonly measure: SteeringMeasure;
  /** Gains of at most this much are none. */
  readonly minimumGain: number;
}

/**
 * The step of the best evaluation of the model by `measure`, the earliest among equals. The model before the first step does not
 * count, since no checkpoint holds it; undefined while there is no other.
 */
export function bestStep(records: readonly EvaluationRecord[], measure: SteeringMeasure): number | undefined {
  return best(valuesByStep(records, measure, 1), 0)?.step;
}

/** Whether the last `patience.evaluations` evaluations from step `stageStart` on brought no gain over the best one before them. */
export function patienceIsOver(records: readonly EvaluationRecord[], patience: Patience, stageStart: number): boolean {
  const values = valuesByStep(records, patience.measure, stageStart);
  const found = best(values, patience.minimumGain);
  return found !== undefined && values.length - 1 - found.index >= patience.evaluations;
}

interface Value {
  readonly step: number;
  /** More is better. */
  readonly value: number;
}

/** One value a step: the end of a stage and the middle of one may have been written for the same evaluation. */
function valuesByStep(records: readonly EvaluationRecord[], measure: SteeringMeasure, from: number): Value[] {
  const values = new Map<number, number>();
  for (const { step, kind, measures } of records) {
    const mean = measures[measure]?.mean;
    if (kind === 'baseline' || step < from || mean === undefined) continue;
    values.set(step, measure === 'malformed_rate' ? -mean : mean);
  }
  return [...values].map(([step, value]) => ({ step, value })).sort((a, b) => a.step - b.step);
}

function best(values: readonly Value[], minimumGain: number): (Value & { readonly index: number }) | undefined {
  let found: (Value & { readonly index: number }) | undefined;
  for (const [index, value] of values.entries()) {
    if (found === undefined || value.value > found.value + minimumGain) found = { ...value, index };
  }
  return found;
}
