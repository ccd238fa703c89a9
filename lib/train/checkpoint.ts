/**
 * Checkpoints: `checkpoints/step-00000050/` in the Hugging Face layout plus `trainer_state/`. A checkpoint is written
 * under another name, flushed, and renamed: the rename is the instant at which it exists. What a crash leaves behind
 * has a name that starts with a dot, and is never read. `latest` names the newest one, for people and scripts; resuming
 * trusts only what it verified itself. `best` names the one with the best evaluation, where the settings ask for it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import * as z from 'zod';
import { syncPath } from '../data/atomic-file.js';
import { WinnowError } from '../errors.js';
import { outputError, syncTree, writeFileAtomically, writing } from './output.js';

const kCount = z.number().int().nonnegative();

/** Everything besides weights and moments that a run needs to continue. Random numbers and data order are functions of these. */
const TrainerStateSchema = z.strictObject({
  version: z.literal(1),
  /** The settings that decide the numbers, as JSON; a run may only be resumed with the same ones. */
  configuration: z.string(),
  /** Steps done, over all stages. */
  step: kCount,
  /** Index of the current stage, and the steps done in it. */
  stage: kCount,
  stageStep: kCount,
  /** Updates made by the optimizer in this stage; skipped ones are not counted. */
  optimizerStep: kCount,
  /** The last step whose evaluation is in the journal, or -1. */
  evaluatedStep: z.number().int().min(-1),
  /** Training examples (supervised) or prompts (GRPO) consumed in this stage. */
  dataCursor: kCount,
  totals: z.strictObject({ tokens: kCount, skippedSteps: kCount, stepsWithoutSignal: kCount }),
  journal: z.strictObject({ metrics: kCount, timing: kCount, samples: kCount, thoughts: kCount.default(0) }),
});
export type TrainerState = z.infer<typeof TrainerStateSchema>;

const ManifestSchema = z.record(z.string(), kCount);
/** Names inside a checkpoint. */
export const kWeightsFile = 'model.safetensors';
export const kOptimizerFile = join('trainer_state', 'optimizer.safetensors');
const kManifest = join('trainer_state', 'manifest.json');

export interface Checkpoint {
  /** The model folder. */
  readonly path: string;
  readonly name: string;
}

export function checkpointName(step: number): string {
  return `step-${String(step).padStart(8, '0')}`;
}

/** Which checkpoints stay when a new one is complete: the last ones, and the one that is called the best. */
export interface KeepRule {
  readonly last: number;
  readonly best?: string;
}

/**
 * Makes checkpoint `name` under `root` and deletes those that `keep` does not keep. `write` fills the folder it is given;
 * whatever it throws, nothing stays behind. An existing checkpoint of that name is left as it is.
 */
export async function writeCheckpoint(
  root: string,
  name: string,
  keep: KeepRule,
  write: (folder: string) => Promise<void>,
): Promise<Checkpoint> {
  const path = join(root, name);
  if (existsSync(path)) return { path, name };
  const temporary = join(root, `.writing-${name}-${process.pid}`);
  try {
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(join(temporary, 'trainer_state'), { recursive: true });
    await write(temporary);
    writeFileAtomically(join(temporary, kManifest), JSON.stringify(listFiles(temporary)));
    syncTree(temporary);
    renameSync(temporary, path);
    syncPath(root);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw outputError(path, error);
  }
  settleCheckpoint(root, name, keep);
  return { path, name };
}

/** What follows once checkpoint `name` is the newest; done again on resuming, because a kill may have come between. */
export function settleCheckpoint(root: string, name: string, keep: KeepRule): void {
  writeFileAtomically(join(root, 'latest'), `${name}\n`);
  if (keep.best !== undefined && findCheckpoint(root, keep.best)) {
    writeFileAtomically(join(root, 'best'), `${keep.best}\n`);
  }
  removeOld(root, keep);
}

/** The newest checkpoint whose files are all there, or undefined. Leftovers of a crash are skipped. */
export function newestCheckpoint(root: string): Checkpoint | undefined {
  const name = completeNames(root).at(-1);
  return name === undefined ? undefined : { path: join(root, name), name };
}

/** The checkpoint of that name, or undefined when it is not there or not whole. */
export function findCheckpoint(root: string, name: string): Checkpoint | undefined {
  const path = join(root, name);
  return isComplete(path) ? { path, name } : undefined;
}

/** Deletes what a killed process left in a folder of the run: half-written checkpoints, half-deleted ones, files on their way. */
export function removeLeftovers(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    if (!/^\.((writing|deleting|probe)-|.*\.\d+\.tmp$)/.test(name)) continue;
    writing(join(folder, name), () => rmSync(join(folder, name), { recursive: true, force: true }));
  }
}

export function writeTrainerState(folder: string, state: TrainerState): void {
  writeFileAtomically(join(folder, 'trainer_state', 'state.json'), `${JSON.stringify(state, null, 2)}\n`);
}

/** Throws ERR_CHECKPOINT when the state is not one this version wrote. */
export function readTrainerState(checkpoint: Checkpoint): TrainerState {
  const path = join(checkpoint.path, 'trainer_state', 'state.json');
  const parsed = TrainerStateSchema.safeParse(readJson(path));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new WinnowError('ERR_CHECKPOINT', `${path} is not a trainer state of this version`, {
    received: `${issue?.path.join('.') || 'the file'}: ${issue?.message}`,
    hint: 'start a new run from this checkpoint as a model folder',
  });
}

function completeNames(root: string): string[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .filter((name) => /^step-\d+$/.test(name) && isComplete(join(root, name)))
    .sort();
}

function isComplete(path: string): boolean {
  const manifest = ManifestSchema.safeParse(readJson(join(path, kManifest)));
  if (!manifest.success) return false;
  return Object.entries(manifest.data).every(([file, size]) => sizeOf(join(path, file)) === size);
}

function removeOld(root: string, keep: KeepRule): void {
  for (const name of completeNames(root).slice(0, -keep.last)) {
    if (name === keep.best) continue;
    // Renamed first, so that a kill half-way through the deletion leaves nothing that looks like a checkpoint.
    const doomed = join(root, `.deleting-${name}`);
    writing(join(root, name), () => {
      renameSync(join(root, name), doomed);
      rmSync(doomed, { recursive: true, force: true });
    });
  }
}

/** Sizes in bytes by path relative to `folder`. */
function listFiles(folder: string): Record<string, number> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const sizes = files.map((entry) => {
    const path = join(entry.parentPath, entry.name);
    return [relative(folder, path), statSync(path).size] as const;
  });
  return Object.fromEntries(sizes.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

function readJson(path: string): unknown {
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
