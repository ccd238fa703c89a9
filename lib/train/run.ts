/**
 * The life of a run: for every stage, step after step, with evaluations and checkpoints between steps. Whenever it yields, its
 * state is whole, so that it can be left, saved, and continued there.
 */
import { join } from 'node:path';
import { stableKey } from '../random.js';
import {
  type Checkpoint,
  checkpointName,
  findCheckpoint,
  type KeepRule,
  kOptimizerFile,
  newestCheckpoint,
  readTrainerState,
  settleCheckpoint,
  type TrainerState,
  writeCheckpoint,
  writeTrainerState,
} from './checkpoint.js';
import type { EvaluationConfig, ResolvedConfig, StageConfig } from './config.js';
import { evaluateBaselines, evaluateModel } from './evaluation.js';
import type { EvaluationRecord, Metrics, SampleRecord, StepRecord, TrainEvent, TrainResult } from './events.js';
import { Journal, readJournal } from './journal.js';
import { requireWritableFolder, writeFileAtomically } from './output.js';
import { stepRates } from './rates.js';
import { checkpointsOf, continuedState, initialState, startingPoint } from './resume.js';
import { requireRoom } from './room.js';
import { type DueEvaluation, type MetricsLine, RunEvaluations, type RunPlace } from './run-evaluations.js';
import { learningRate } from './schedule.js';
import type { OwnParts, Prepare, RunParts } from './setup.js';
import type { Stage, StepOutcome } from './stage.js';
import { readStageState, writeStageState } from './stage-state.js';
import { openStage } from './stages.js';

export interface RunOptions {
  readonly resume: boolean;
  readonly signal: AbortSignal;
  readonly prepare: Prepare;
  readonly own: OwnParts;
  /** Aborted when the run shall end in order. */
  readonly stop: AbortSignal;
  readonly onEnd: (result: TrainResult) => void;
}

export async function* runTraining(config: ResolvedConfig, options: RunOptions): AsyncGenerator<TrainEvent, undefined> {
  requireWritableFolder(config.output);
  const checkpoint = startingPoint(config, options.resume);
  const state = checkpoint === undefined ? initialState(config) : continuedState(readTrainerState(checkpoint), config);
  const parts = await options.prepare(config, checkpoint, options.own, options.signal);
  let run: Run | undefined;
  let failed = false;
  try {
    await requireRoom(config, parts);
    run = new Run(config, options, parts, state);
    yield* run.events();
  } catch (error) {
    failed = true;
    throw error;
  } finally {
    // Also reached when the loop over the events is left early: what has been done must not be lost.
    try {
      if (run !== undefined && !failed) options.onEnd(await run.end());
    } finally {
      await run?.close();
      await parts.dispose();
    }
  }
}

class Run {
  readonly #config: ResolvedConfig;
  readonly #options: RunOptions;
  readonly #parts: RunParts;
  readonly #journal: Journal;
  readonly #evaluations: RunEvaluations;
  #state: TrainerState;
  #stage: Stage | undefined;
  #metrics: Metrics = {};
  #saved: Checkpoint | undefined;

  constructor(config: ResolvedConfig, options: RunOptions, parts: RunParts, state: TrainerState) {
    this.#config = config;
    this.#options = options;
    this.#parts = parts;
    this.#state = state;
    this.#journal = new Journal(config.output, state.journal);
    this.#evaluations = new RunEvaluations(config, readJournal(config.output, 'metrics') as MetricsLine[]);
    this.#saved = newestCheckpoint(checkpointsOf(config));
    if (this.#saved !== undefined) settleCheckpoint(checkpointsOf(config), this.#saved.name, this.#keep());
    writeFileAtomically(join(config.output, 'run.json'), `${JSON.stringify(this.#facts(), null, 2)}\n`);
  }

  async *events(): AsyncGenerator<TrainEvent, undefined> {
    const { device, parameters, trainedParameters } = this.#parts;
    const { output } = this.#config;
    const [step, steps] = [this.#state.step, this.#totalSteps()];
    yield { type: 'start', output, step, steps, device, parameters, trainedParameters };
    while (!this.#options.stop.aborted) {
      yield* this.#evaluateIfDue();
      yield* this.#checkpointIfDue();
      if (this.#isComplete() || this.#options.stop.aborted) break;
      yield await this.#step();
    }
    if (await this.#checkpoint()) yield this.#checkpointEvent();
    yield { type: 'done', status: this.#status(), step: this.#state.step, output };
  }

  /** Saves what is not saved yet and tells the result. */
  async end(): Promise<TrainResult> {
    await this.#checkpoint();
    return {
      status: this.#status(),
      output: this.#config.output,
      step: this.#state.step,
      checkpoint: this.#saved?.path,
      bestCheckpoint: this.#bestCheckpoint(),
      evaluations: this.#evaluations.rows,
      comparisons: this.#evaluations.comparisons,
      metrics: this.#metrics,
    };
  }

  async close(): Promise<void> {
    this.#journal.close();
    await this.#stage?.dispose();
  }

  async #step(): Promise<TrainEvent> {
    if (this.#stageIsOver()) await this.#enterNextStage();
    this.#stage ??= await this.#openStage();
    const stage = this.#stageConfig();
    const rate = learningRate({ ...stage, kind: stage.schedule, peak: stage.learningRate }, this.#state.stageStep + 1);
    const wanted = this.#state.stageStep % this.#config.report.everySteps === 0;
    const outcome = await this.#stage.step({
      stageStep: this.#state.stageStep,
      optimizerStep: this.#state.optimizerStep,
      learningRate: rate,
      dropoutSeed: stableKey('dropout', this.#config.seed, this.#state.step),
      samples: wanted ? this.#config.report.samples : 0,
      signal: this.#options.signal,
    });
    this.#advance(outcome, this.#stage.casesPerStep);
    return this.#record(stage, outcome, rate);
  }

  #advance(outcome: StepOutcome, cases: number): void {
    const { totals } = this.#state;
    this.#state = {
      ...this.#state,
      step: this.#state.step + 1,
      stageStep: this.#state.stageStep + 1,
      optimizerStep: this.#state.optimizerStep + outcome.updates,
      dataCursor: this.#state.dataCursor + cases,
      totals: {
        tokens: totals.tokens + outcome.tokens,
        skippedSteps: totals.skippedSteps + outcome.skipped,
        stepsWithoutSignal: totals.stepsWithoutSignal + (outcome.withoutSignal ? 1 : 0),
      },
    };
  }

  #record(stage: StageConfig, outcome: StepOutcome, rate: number): TrainEvent {
    const { step, stageStep, totals } = this.#state;
    this.#metrics = {
      ...outcome.metrics,
      learning_rate: rate,
      num_tokens: totals.tokens,
      skipped_updates: totals.skippedSteps,
      steps_without_signal: totals.stepsWithoutSignal,
    };
    const record: StepRecord = {
      ...{ type: 'step', step, stage: stage.name, kind: stage.kind, stage_step: stageStep },
      metrics: this.#metrics,
    };
    const { parameters, trainedParameters } = this.#parts;
    const machine = { parameters, trainedParameters, peakTeraflops: this.#config.report.peakTeraflops };
    const timing = { step, seconds: outcome.seconds, rates: stepRates(outcome, machine) };
    const samples = outcome.samples.map((sample): SampleRecord => ({ step, stage: stage.name, ...sample }));
    this.#journal.append('metrics', record);
    this.#journal.append('timing', timing);
    for (const sample of samples) this.#journal.append('samples', sample);
    for (const thought of outcome.thoughts ?? []) this.#journal.append('thoughts', thought);
    return { type: 'step', steps: this.#totalSteps(), stageSteps: stage.steps, record, timing, samples };
  }

  async *#evaluateIfDue(): AsyncGenerator<TrainEvent, undefined> {
    const { evaluation, seed } = this.#config;
    const place = this.#place();
    const { step } = place;
    const due = this.#evaluations.due(place);
    if (evaluation === undefined || due === undefined || this.#state.evaluatedStep === step) return;
    yield { type: 'evaluating', step, label: due.label };
    const measured = await this.#evaluate(evaluation, due);
    if (measured === undefined) return;
    const baselines = step === 0 ? evaluateBaselines(this.#parts, evaluation, seed) : [];
    const records = this.#evaluations.add(place, measured, baselines);
    for (const record of records) this.#journal.append('metrics', record);
    this.#state = { ...this.#state, evaluatedStep: step };
    for (const record of records) {
      yield record.type === 'evaluation' ? { type: 'evaluation', record } : { type: 'comparison', record };
    }
  }

  /** Undefined when the run was asked to stop meanwhile: whoever resumes it begins with this evaluation. */
  async #evaluate(evaluation: EvaluationConfig, due: DueEvaluation): Promise<EvaluationRecord | undefined> {
    const { signal, stop } = this.#options;
    const place = { ...due, step: this.#state.step, seed: this.#config.seed };
    try {
      return await evaluateModel(this.#parts, evaluation, place, AbortSignal.any([signal, stop]));
    } catch (error) {
      if (stop.aborted && !signal.aborted) return undefined;
      throw error;
    }
  }

  async *#checkpointIfDue(): AsyncGenerator<TrainEvent, undefined> {
    const { step } = this.#state;
    const due =
      step % this.#config.checkpoint.every === 0 || this.#stageIsOver() || this.#evaluations.bestStep() === step;
    if (step > 0 && due && (await this.#checkpoint())) yield this.#checkpointEvent();
  }

  #checkpointEvent(): TrainEvent {
    return { type: 'checkpoint', step: this.#state.step, path: (this.#saved as Checkpoint).path };
  }

  /** True when one was written; false when this step has one already. */
  async #checkpoint(): Promise<boolean> {
    const name = checkpointName(this.#state.step);
    if (this.#saved?.name === name) return false;
    const { model } = this.#parts;
    this.#saved = await writeCheckpoint(checkpointsOf(this.#config), name, this.#keep(), async (folder) => {
      this.#journal.sync();
      await this.#parts.saveModel(folder);
      await model.saveOptimizerState(join(folder, kOptimizerFile));
      writeTrainerState(folder, { ...this.#state, journal: this.#journal.positions() });
      writeStageState(folder, this.#stage?.state?.());
      await this.#stage?.save?.(folder);
    });
    return true;
  }

  #keep(): KeepRule {
    const best = this.#evaluations.bestStep();
    return { last: this.#config.checkpoint.keep, ...(best === undefined ? {} : { best: checkpointName(best) }) };
  }

  async #enterNextStage(): Promise<void> {
    await this.#stage?.dispose();
    this.#stage = undefined;
    this.#state = { ...this.#state, stage: this.#state.stage + 1, stageStep: 0, optimizerStep: 0, dataCursor: 0 };
  }

  #openStage(): Promise<Stage> {
    const { stage: index, stageStep } = this.#state;
    const checkpoint = stageStep === 0 ? undefined : this.#saved;
    const state = checkpoint && readStageState(checkpoint);
    const position = { index, stageStep, config: this.#stageConfig(), state, checkpoint };
    return openStage(this.#config, this.#parts, { ...position, reward: this.#options.own });
  }

  #stageConfig(): StageConfig {
    return this.#config.stages[this.#state.stage] as StageConfig;
  }

  #totalSteps(): number {
    return this.#config.stages.reduce((sum, { steps }) => sum + steps, 0);
  }

  #place(): RunPlace {
    const { step, stageStep } = this.#state;
    return { step, stageStep, stage: this.#stageConfig() };
  }

  /** After its last step, or when patience with it is over. */
  #stageIsOver(): boolean {
    const place = this.#place();
    return place.stageStep === place.stage.steps || (place.stageStep > 0 && this.#evaluations.patienceIsOver(place));
  }

  #isComplete(): boolean {
    return this.#state.stage === this.#config.stages.length - 1 && this.#stageIsOver();
  }

  #bestCheckpoint(): string | undefined {
    const step = this.#evaluations.bestStep();
    if (step === undefined) return undefined;
    return findCheckpoint(checkpointsOf(this.#config), checkpointName(step))?.path;
  }

  #status(): 'completed' | 'stopped' {
    return this.#isComplete() ? 'completed' : 'stopped';
  }

  #facts(): object {
    const [config, { device, parameters }] = [this.#config, this.#parts];
    return { name: config.name, notes: config.notes, steps: this.#totalSteps(), device, parameters, config };
  }
}
