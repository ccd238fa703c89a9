/** LoRA in a run: from settings to an adapter, the reference that it leaves for free, and its part of a checkpoint. */
import { join, resolve } from 'node:path';
import {
  type AdapterConfig,
  kAdapterWeightsFile,
  type Model,
  planTraining,
  readAdapterFolder,
  readModelFolder,
  writeAdapterConfig,
} from '../native/index.js';
import type { Checkpoint } from './checkpoint.js';
import type { ResolvedConfig } from './config.js';
import type { ScoringModel, TrainableModel } from './stage.js';

/**
 * The adapter that the settings describe; undefined where all weights train.
 *
 * @throws WinnowError ERR_FILE_*, ERR_ADAPTER_CONFIG for one that is to be trained on
 */
export function adapterOf({ model: { lora } }: Pick<ResolvedConfig, 'model'>): AdapterConfig | undefined {
  if (lora === undefined) return undefined;
  const { from, dropout, rank = 16, alpha = 32, rsLora = false, targets = ['all-linear'] } = lora;
  if (from !== undefined) return { ...readAdapterFolder(from).config, dropout };
  return { rank, alpha, dropout, rsLora, targets };
}

/**
 * Reads config.json and nothing else.
 *
 * @throws WinnowError ERR_ADAPTER_TARGET when the adapter is meant for modules that the model does not have; ERR_FILE_*, ERR_MODEL_*
 */
export function requireAdapterFits(config: Pick<ResolvedConfig, 'model'>): void {
  const adapter = adapterOf(config);
  const { folder, dtype } = config.model;
  if (adapter !== undefined && folder !== undefined) {
    planTraining({ config: readModelFolder(folder).config, dtype, adapter });
  }
}

/** Adds the adapter: a new one, with which the policy is the model's, or that of a checkpoint or of the settings. */
export async function addAdapter(
  model: Model,
  config: ResolvedConfig,
  checkpoint: Checkpoint | undefined,
  signal: AbortSignal,
): Promise<void> {
  const adapter = adapterOf(config);
  if (adapter === undefined) return;
  const folder = checkpoint?.path ?? config.model.lora?.from;
  const source =
    folder === undefined
      ? ({ kind: 'random', seed: config.seed } as const)
      : ({ kind: 'file', path: readAdapterFolder(folder).weightsFile } as const);
  await model.addAdapter(adapter, source, { signal });
}

/** Writes the adapter alone, as PEFT would, with the base model's folder named. */
export async function saveAdapterFolder(
  folder: string,
  model: Pick<Model, 'saveAdapter'>,
  adapter: AdapterConfig,
  base: string,
): Promise<void> {
  writeAdapterConfig(folder, adapter, resolve(base));
  await model.saveAdapter(join(folder, kAdapterWeightsFile));
}

/** The policy without its adapter, as a reference that needs no weights of its own. */
export function withoutAdapter(model: Pick<TrainableModel, 'score'>): ScoringModel {
  return {
    score: (request, options) => model.score({ ...request, adapter: false }, options),
    dispose: async () => {},
  };
}

/** Whether the reference of a stage is what the model is without its adapter; a new adapter changes nothing yet. */
export function isBaseReference({ model }: Pick<ResolvedConfig, 'model'>, stage: number, reference: string): boolean {
  if (model.lora === undefined) return false;
  return reference === 'base' || (reference === 'stage-start' && stage === 0 && model.lora.from === undefined);
}
