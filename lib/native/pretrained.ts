/** Model folders in the Hugging Face layout. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { WinnowError } from '../errors.js';
import type { NativeModelConfig } from './addon-types.js';
import { describeValue } from './checks.js';
import { readJsonObject, writeJson } from './json-file.js';
import {
  formatModelConfig,
  type ModelConfigExtras,
  parseModelConfig,
  type RawConfig,
  tokenIds,
} from './model-config.js';

export interface ModelFolder {
  config: NativeModelConfig;
  /** safetensors files, all of the model's shards. */
  weightFiles: string[];
  /** Tokens that end a text, from generation_config.json or else config.json. */
  eosTokenIds: number[];
  /** config.json as it is. */
  raw: RawConfig;
}

/** The shards that an index names; each a plain file name of the same folder. */
function readShards(folder: string, indexPath: string): string[] {
  const map = readJsonObject(indexPath, 'check the file').weight_map;
  const names = typeof map === 'object' && map !== null ? [...new Set(Object.values(map))] : [];
  if (names.length === 0)
    throw new WinnowError('ERR_FILE_FORMAT', `${indexPath} does not fit`, {
      expected: 'weight_map with at least one tensor',
      received: describeValue(map),
    });
  return names.map((name) => {
    if (typeof name !== 'string' || name === '' || name !== basename(name) || name === '..')
      throw new WinnowError('ERR_FILE_FORMAT', `${indexPath} names a shard outside its folder`, {
        expected: 'a file name',
        received: describeValue(name),
      });
    return join(folder, name);
  });
}

function findWeights(folder: string): string[] {
  const single = join(folder, 'model.safetensors');
  const index = join(folder, 'model.safetensors.index.json');
  if (existsSync(single)) return [single];
  if (!existsSync(index)) {
    const pickled =
      existsSync(join(folder, 'pytorch_model.bin')) || existsSync(`${folder}/pytorch_model.bin.index.json`);
    throw new WinnowError('ERR_FILE_OPEN', `no weights in ${folder}`, {
      expected: 'model.safetensors or model.safetensors.index.json',
      received: pickled ? 'pytorch_model.bin' : 'neither',
      hint: pickled ? 'save the model as safetensors' : 'check the folder',
    });
  }
  const shards = readShards(folder, index);
  const missing = shards.find((shard) => !existsSync(shard));
  if (missing)
    throw new WinnowError('ERR_FILE_OPEN', `a shard is missing: ${missing}`, { expected: `all files of ${index}` });
  return shards;
}

function readEosTokenIds(folder: string, raw: RawConfig): number[] {
  const generation = join(folder, 'generation_config.json');
  const fromGeneration = existsSync(generation) ? readJsonObject(generation, 'check the file').eos_token_id : undefined;
  const value = fromGeneration ?? raw.eos_token_id ?? [];
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  if (!ids.every((id): id is number => Number.isSafeInteger(id) && (id as number) >= 0))
    throw new WinnowError('ERR_MODEL_CONFIG', 'eos_token_id does not fit', {
      expected: 'a token id or an array of them',
      received: describeValue(value),
    });
  return ids;
}

/**
 * Reads what a model folder says about its model; the weights themselves are read by `createModel`.
 *
 * @throws WinnowError ERR_FILE_OPEN, ERR_FILE_FORMAT, ERR_MODEL_UNSUPPORTED, ERR_MODEL_CONFIG
 */
export function readModelFolder(folder: string): ModelFolder {
  const path = join(folder, 'config.json');
  const adapts = !existsSync(path) && existsSync(join(folder, 'adapter_config.json'));
  const raw = readJsonObject(
    path,
    adapts
      ? 'this is the folder of an adapter: give its base model as the model, and this folder with --adapter'
      : 'a model folder holds config.json and model.safetensors',
  );
  const config = parseModelConfig(raw);
  return { config, weightFiles: findWeights(folder), eosTokenIds: readEosTokenIds(folder, raw), raw };
}

/**
 * Writes `config.json` and `generation_config.json`, so that Python's transformers loads the folder.
 *
 * @throws WinnowError ERR_FILE_WRITE; ERR_MODEL_UNSUPPORTED when no known family has these biases and norms
 */
export function writeModelConfig(folder: string, config: NativeModelConfig, extras: ModelConfigExtras): void {
  writeJson(join(folder, 'config.json'), formatModelConfig(config, extras));
  writeJson(join(folder, 'generation_config.json'), tokenIds(extras));
}
