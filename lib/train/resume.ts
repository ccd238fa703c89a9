/** Where a run begins, and whether a checkpoint may be continued under the settings given. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { WinnowError } from '../errors.js';
import { type Checkpoint, newestCheckpoint, removeLeftovers, type TrainerState } from './checkpoint.js';
import type { ResolvedConfig } from './config.js';
import { journalPath } from './journal.js';

/** The checkpoint to continue from; undefined to begin. Throws ERR_OUTPUT_EXISTS rather than writing over another run. */
export function startingPoint(config: ResolvedConfig, resume: boolean): Checkpoint | undefined {
  const root = checkpointsOf(config);
  if (resume) {
    for (const folder of [config.output, referencesOf(config), root]) removeLeftovers(folder);
    return newestCheckpoint(root);
  }
  if (existsSync(journalPath(config.output, 'metrics')) || existsSync(root)) {
    throw new WinnowError('ERR_OUTPUT_EXISTS', `${config.output} already holds a run`, {
      expected: 'a new or empty folder',
      hint: 'continue it with --resume, or choose another folder with --set output=DIR',
    });
  }
  return undefined;
}

export function checkpointsOf(config: ResolvedConfig): string {
  return join(config.output, 'checkpoints');
}

/** Where stages keep the frozen policies of their KL terms. */
export function referencesOf(config: ResolvedConfig): string {
  return join(config.output, 'references');
}

export function initialState(config: ResolvedConfig): TrainerState {
  return {
    version: 1,
    configuration: JSON.stringify(decisive(config)),
    step: 0,
    stage: 0,
    stageStep: 0,
    optimizerStep: 0,
    evaluatedStep: -1,
    dataCursor: 0,
    totals: { tokens: 0, skippedSteps: 0, stepsWithoutSignal: 0 },
    journal: { metrics: 0, timing: 0, samples: 0, thoughts: 0 },
  };
}

/**
 * The state under the settings it goes on with. Stages that have not begun may be changed, added or taken away: what is done stays as it was done.
 *
 * @throws WinnowError ERR_RESUME_CONFIG, naming the first setting that differs, when continuing would not give what the run began
 */
export function continuedState(state: TrainerState, config: ResolvedConfig): TrainerState {
  const before = JSON.parse(state.configuration) as Decisive;
  const configuration = JSON.stringify(decisive(config));
  const now = JSON.parse(configuration) as Decisive;
  const begun = ({ stages, ...rest }: Decisive) => ({ ...rest, stages: stages.slice(0, state.stage + 1) });
  const path = firstDifference(begun(before), begun(now), []);
  if (path === undefined) return { ...state, configuration };
  const value = (root: unknown) =>
    JSON.stringify(path.reduce((held, key) => (held as never)?.[key], root)) ?? 'nothing';
  throw new WinnowError('ERR_RESUME_CONFIG', `setting ${path.join('.')} is not the one the run began with`, {
    expected: value(before),
    received: value(now),
    hint: 'resume with the settings of the run (stages that have not begun may differ), or start a new run whose model.folder is the checkpoint',
  });
}

type Decisive = ReturnType<typeof decisive>;

/** The settings that decide the numbers. Device, threads, folders and the habits of saving and reporting may change. */
function decisive({ seed, model, data, protocol, stages, evaluation, report }: ResolvedConfig) {
  const { everySteps, samples } = report;
  return { seed, model, data, protocol, stages, evaluation, report: { everySteps, samples } };
}

function firstDifference(a: unknown, b: unknown, path: readonly string[]): readonly string[] | undefined {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b ? undefined : path;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const key of keys) {
    const found = firstDifference(a[key as keyof typeof a], b[key as keyof typeof b], [...path, key]);
    if (found !== undefined) return found;
  }
  return undefined;
}
