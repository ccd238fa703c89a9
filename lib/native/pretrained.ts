/** Model folders in the Hugging Face layout. */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { WinnowError } from '../errors.js';
import type { NativeModelConfig } from './addon-types.js';
import { describeValue } from './checks.js';
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

/** @throws WinnowError ERR_FILE_OPEN, ERR_FILE_FORMAT */
function readJsonObject(path: string): RawConfig {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new WinnowError('ERR_FILE_OPEN', `cannot read ${path}`, {
      received: cause instanceof Error ? cause.message : String(cause),
      hint: 'a model folder holds config.json and model.safetensors',
      cause,
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new WinnowError('ERR_FILE_FORMAT', `${path} is not JSON`, {
      received: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new WinnowError('ERR_FILE_FORMAT', `${path} does not fit`, {
      expected: 'a JSON object',
      received: describeValue(value),
    });
  return value as RawConfig;
}

/** The shards that an index names; each a plain file name of the same folder. */
function readShards(folder: string, indexPath: string): string[] {
  const map = readJsonObject(indexPath).weight_map;
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
  const fromGeneration = existsSync(generation) ? readJsonObject(generation).eos_token_id : undefined;
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
  const raw = readJsonObject(join(folder, 'config.json'));
  const config = parseModelConfig(raw);
  return { config, weightFiles: findWeights(folder), eosTokenIds: readEosTokenIds(folder, raw), raw };
}

/** Whole or not at all: a crash in the middle leaves the old file. */
function writeJson(path: string, value: unknown): void {
  const partial = `${path}.partial`;
  try {
    const file = openSync(partial, 'w');
    try {
      writeSync(file, `${JSON.stringify(value, null, 2)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(partial, path);
  } catch (cause) {
    rmSync(partial, { force: true });
    throw new WinnowError('ERR_FILE_WRITE', `cannot write ${path}`, {
      received: cause instanceof Error ? cause.message : String(cause),
      hint: 'check the folder and its free space',
      cause,
    });
  }
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
