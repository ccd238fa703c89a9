/** What a stage keeps in a checkpoint besides the trainer's state: `trainer_state/stage.json`, absent when it keeps nothing. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { WinnowError } from '../errors.js';
import type { Checkpoint } from './checkpoint.js';
import { writeFileAtomically } from './output.js';

const kFile = join('trainer_state', 'stage.json');

export function writeStageState(folder: string, state: unknown): void {
  if (state !== undefined) writeFileAtomically(join(folder, kFile), JSON.stringify(state));
}

/** Throws ERR_CHECKPOINT when the file is not JSON; what it says is for the stage to check. */
export function readStageState(checkpoint: Checkpoint): unknown {
  const path = join(checkpoint.path, kFile);
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new WinnowError('ERR_CHECKPOINT', `${path} is not JSON`, {
      hint: 'start a new run from this checkpoint as a model folder',
      cause,
    });
  }
}
