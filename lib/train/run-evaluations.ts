/** The evaluations of a run: when one is due, the lines it adds to the journal, and what the run makes of them. */
import { bestStep, patienceIsOver } from './best.js';
import type { ResolvedConfig, StageConfig } from './config.js';
import { compareEvaluations } from './evaluation.js';
import type { ComparisonRecord, EvaluationRecord, StepRecord } from './events.js';

export type MetricsLine = StepRecord | EvaluationRecord | ComparisonRecord;
export type DueEvaluation = Pick<EvaluationRecord, 'label' | 'kind'>;

/** Where a run stands. */
export interface RunPlace {
  readonly step: number;
  readonly stageStep: number;
  readonly stage: StageConfig;
}

export class RunEvaluations {
  readonly #config: ResolvedConfig;
  readonly #rows: EvaluationRecord[];
  readonly #comparisons: ComparisonRecord[];

  /** `lines`: what the journal holds. */
  constructor(config: ResolvedConfig, lines: readonly MetricsLine[]) {
    this.#config = config;
    this.#rows = lines.filter((line) => line.type === 'evaluation');
    this.#comparisons = lines.filter((line) => line.type === 'comparison');
  }

  get rows(): readonly EvaluationRecord[] {
    return this.#rows;
  }

  get comparisons(): readonly ComparisonRecord[] {
    return this.#comparisons;
  }

  due({ step, stageStep, stage }: RunPlace): DueEvaluation | undefined {
    const { evaluation, model } = this.#config;
    if (evaluation === undefined) return undefined;
    if (step === 0) return { label: model.scratch === undefined ? 'before training' : 'untrained', kind: 'model' };
    if (stageStep === stage.steps) return { label: `after ${stage.name}`, kind: 'model' };
    const due = evaluation.everySteps > 0 && stageStep > 0 && stageStep % evaluation.everySteps === 0;
    return due ? { label: `${stage.name} step ${stageStep}`, kind: 'progress' } : undefined;
  }

  /** Takes what was measured, and returns it and what it brings about: the gain of a stage, and its end when patience is over. */
  add(
    place: RunPlace,
    measured: EvaluationRecord,
    baselines: readonly EvaluationRecord[],
  ): (EvaluationRecord | ComparisonRecord)[] {
    const before = this.#rows.findLast(({ kind }) => kind === 'model');
    const rows = [...baselines, measured];
    this.#rows.push(...rows);
    if (measured.kind === 'progress' && this.patienceIsOver(place)) {
      const end: EvaluationRecord = { ...measured, label: `after ${place.stage.name}`, kind: 'model' };
      rows.push(end);
      this.#rows.push(end);
    }
    const last = rows.at(-1) as EvaluationRecord;
    const { evaluation, seed } = this.#config;
    if (before === undefined || last.kind !== 'model' || evaluation === undefined) return rows;
    const comparison = compareEvaluations(before, last, evaluation.resamples, seed);
    this.#comparisons.push(comparison);
    return [...rows, comparison];
  }

  patienceIsOver({ step, stageStep }: RunPlace): boolean {
    const patience = this.#config.evaluation?.patience;
    return patience !== undefined && patienceIsOver(this.#rows, patience, step - stageStep);
  }

  /** The step whose checkpoint is to be kept as the best one. */
  bestStep(): number | undefined {
    const { best } = this.#config.checkpoint;
    return best === undefined ? undefined : bestStep(this.#rows, best.measure);
  }
}
