/** Low-rank adapters (LoRA) in the files of Hugging Face PEFT: adapter_config.json and adapter_model.safetensors. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { WinnowError } from '../errors.js';
import type { NativeAdapterConfig } from './addon-types.js';
import { describeValue } from './checks.js';
import { readJsonObject, writeJson } from './json-file.js';

/** `targets` are module names, e.g. `q_proj`: one stands for every linear layer whose path is this or ends in it. */
export type AdapterConfig = Readonly<Omit<NativeAdapterConfig, 'targets'>> & { readonly targets: readonly string[] };

/** Where the matrices come from: a file of PEFT, or A at random and B zero, so that nothing changes yet. */
export type AdapterSource = { kind: 'file'; path: string } | { kind: 'random'; seed: number };

export interface AdapterFolder {
  readonly config: AdapterConfig;
  readonly weightsFile: string;
}

export const kAdapterConfigFile = 'adapter_config.json';
export const kAdapterWeightsFile = 'adapter_model.safetensors';

/** The linear layers of a decoder's layers: what `all-linear` stands for. */
export const kLinearModules = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;

export function expandTargets(targets: readonly string[]): readonly string[] {
  return targets.flatMap((target) => (target === 'all-linear' ? kLinearModules : [target]));
}

export function toNativeAdapter({ targets, ...numbers }: AdapterConfig): NativeAdapterConfig {
  return { ...numbers, targets: [...expandTargets(targets)] };
}

/** Fields of PEFT that say nothing about what the adapter computes. */
const kInert = [
  ...['peft_type', 'peft_version', 'task_type', 'auto_mapping', 'base_model_name_or_path', 'revision'],
  ...['inference_mode', 'r', 'lora_alpha', 'lora_dropout', 'use_rslora', 'target_modules'],
  ...['megatron_core', 'qalora_group_size', 'init_lora_weights', 'ensure_weight_tying', 'runtime_config'],
];

/** Ways to begin that leave the base model as it is. */
const kPlainBeginnings: readonly unknown[] = [undefined, null, true, false, 'gaussian'];

/**
 * Reads a folder that PEFT or `writeAdapterConfig` wrote; its matrices are read by `model.addAdapter`. Whatever this version does
 * not compute (biases, DoRA, ranks by pattern, saved modules, ...) is refused, never ignored.
 *
 * @throws WinnowError ERR_FILE_OPEN, ERR_FILE_FORMAT, ERR_ADAPTER_CONFIG
 */
export function readAdapterFolder(folder: string): AdapterFolder {
  const path = join(folder, kAdapterConfigFile);
  const raw = readJsonObject(path, `an adapter's folder holds ${kAdapterConfigFile} and ${kAdapterWeightsFile}`);
  const config = parseAdapterConfig(raw, path);
  const weightsFile = join(folder, kAdapterWeightsFile);
  if (!existsSync(weightsFile)) {
    const pickled = existsSync(join(folder, 'adapter_model.bin'));
    throw new WinnowError('ERR_FILE_OPEN', `no adapter weights in ${folder}`, {
      expected: kAdapterWeightsFile,
      received: pickled ? 'adapter_model.bin' : 'no such file',
      hint: pickled ? 'save the adapter as safetensors' : 'check the folder',
    });
  }
  return { config, weightsFile };
}

/** The fields of an adapter_config.json. Throws ERR_ADAPTER_CONFIG, naming the field. */
export function parseAdapterConfig(raw: Readonly<Record<string, unknown>>, path: string): AdapterConfig {
  const refuse = (field: string, expected: string): never => {
    throw new WinnowError('ERR_ADAPTER_CONFIG', `${field} of ${path} is not supported`, {
      expected,
      received: describeValue(raw[field]),
    });
  };
  if (raw.peft_type !== 'LORA') refuse('peft_type', 'LORA');
  if (raw.bias !== undefined && raw.bias !== 'none') refuse('bias', 'none');
  if (!kPlainBeginnings.includes(raw.init_lora_weights)) refuse('init_lora_weights', 'true, false or gaussian');
  const unknown = Object.keys(raw).find((field) => field !== 'bias' && !kInert.includes(field) && !isOff(raw[field]));
  if (unknown !== undefined) refuse(unknown, 'nothing: null, false or empty');
  const { r: rank, lora_alpha: alpha, lora_dropout: dropout = 0, use_rslora: rsLora = false, target_modules } = raw;
  const targets = typeof target_modules === 'string' ? [target_modules] : target_modules;
  if (!Array.isArray(targets) || targets.length === 0 || targets.some((name) => !/^[\w.-]+$/.test(String(name))))
    refuse('target_modules', 'all-linear or a list of module names');
  if (typeof target_modules === 'string' && target_modules !== 'all-linear')
    refuse('target_modules', 'all-linear or a list of module names');
  if (!(Number.isSafeInteger(rank) && (rank as number) > 0)) refuse('r', 'a positive integer');
  if (!(Number.isFinite(alpha) && (alpha as number) > 0)) refuse('lora_alpha', 'a positive number');
  if (!((dropout as number) >= 0 && (dropout as number) < 1)) refuse('lora_dropout', '0 or more, and less than 1');
  if (typeof rsLora !== 'boolean') refuse('use_rslora', 'true or false');
  return {
    ...{ rank: rank as number, alpha: alpha as number, dropout: dropout as number, rsLora: rsLora as boolean },
    targets: [...expandTargets(targets as string[])].sort(),
  };
}

function isOff(value: unknown): boolean {
  if (value === null || value === undefined || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/**
 * Writes `adapter_config.json`, so that PEFT loads the folder beside what `model.saveAdapter` writes. Throws ERR_FILE_WRITE.
 *
 * @param base the folder of the model that the adapter belongs to
 */
export function writeAdapterConfig(folder: string, config: AdapterConfig, base: string): void {
  writeJson(join(folder, kAdapterConfigFile), {
    base_model_name_or_path: base,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r: config.rank,
    target_modules: expandTargets(config.targets),
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: config.rsLora,
  });
}
