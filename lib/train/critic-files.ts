/** Where a critic comes from, and how it stays: `critic/` of a checkpoint is a model folder with a value head and moments. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Checkpoint, kWeightsFile } from './checkpoint.js';
import type { RunParts } from './setup.js';
import type { TrainableModel } from './stage.js';

export const kValueHeadFile = 'value_head.safetensors';
const kFolder = 'critic';
const kMoments = 'optimizer.safetensors';

/** The critic that `checkpoint` holds, to the bit. */
export async function restoreCritic(
  parts: Pick<RunParts, 'openCritic'>,
  checkpoint: Checkpoint,
): Promise<TrainableModel> {
  const folder = join(checkpoint.path, kFolder);
  const critic = await parts.openCritic(folder);
  await critic.loadOptimizerState(join(folder, kMoments));
  return critic;
}

export async function saveCritic(
  parts: Pick<RunParts, 'writeModelFiles'>,
  critic: TrainableModel,
  dtype: 'f32' | 'bf16',
  checkpoint: string,
): Promise<void> {
  const folder = join(checkpoint, kFolder);
  mkdirSync(folder);
  parts.writeModelFiles(folder);
  await critic.save(join(folder, kWeightsFile), dtype);
  await critic.saveValueHead(join(folder, kValueHeadFile));
  await critic.saveOptimizerState(join(folder, kMoments));
}
