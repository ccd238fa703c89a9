/** Hugging Face `config.json` (the layouts of transformers 4 and 5) to the engine's numbers, and back. */
import { WinnowError } from '../errors.js';
import type { NativeModelConfig } from './addon-types.js';
import { describeValue } from './checks.js';
import { readRope, writeRope } from './rope-config.js';

/** A parsed `config.json`. */
export type RawConfig = Readonly<Record<string, unknown>>;

export type Architecture = 'qwen2' | 'qwen3' | 'llama' | 'mistral';

const classNames: Record<Architecture, string> = {
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
  llama: 'LlamaForCausalLM',
  mistral: 'MistralForCausalLM',
};

function unsupported(field: string, expected: string, value: unknown): WinnowError {
  return new WinnowError('ERR_MODEL_UNSUPPORTED', `config.json: ${field} is not supported`, {
    expected,
    received: describeValue(value),
  });
}

function malformed(field: string, expected: string, value: unknown): WinnowError {
  return new WinnowError('ERR_MODEL_CONFIG', `config.json: ${field} does not fit`, {
    expected,
    received: describeValue(value),
  });
}

function positiveInteger(raw: RawConfig, field: string, fallback?: number): number {
  const value = raw[field] ?? fallback;
  if (!Number.isSafeInteger(value) || (value as number) < 1) throw malformed(field, 'a positive integer', raw[field]);
  return value as number;
}

function flag(raw: RawConfig, field: string, fallback: boolean): boolean {
  const value = raw[field] ?? fallback;
  if (typeof value !== 'boolean') throw malformed(field, 'true or false', value);
  return value;
}

// Fields that change the computation when they are set, and the values that mean "off".
const mustBeOff: Readonly<Record<string, readonly unknown[]>> = {
  quantization_config: [],
  mlp_bias: [false],
  use_mrope: [false],
  partial_rotary_factor: [1],
  num_experts: [0],
  num_local_experts: [0],
  num_nextn_predict_layers: [0],
  attn_logit_softcapping: [],
  final_logit_softcapping: [],
  attention_multiplier: [],
  residual_multiplier: [1],
  embedding_multiplier: [1],
  logits_scaling: [1],
  no_rope_layers: [],
};

function refuseUnsupportedFields(raw: RawConfig): void {
  for (const [field, off] of Object.entries(mustBeOff)) {
    const value = raw[field] ?? null;
    if (value !== null && !off.includes(value)) throw unsupported(field, ['absent', ...off].join(' or '), value);
  }
  const activation = raw.hidden_act ?? 'silu';
  if (activation !== 'silu') throw unsupported('hidden_act', 'silu', activation);
}

function readArchitecture(raw: RawConfig): Architecture {
  const type = raw.model_type;
  if (typeof type !== 'string' || !Object.hasOwn(classNames, type))
    throw unsupported('model_type', Object.keys(classNames).join(', '), type);
  const architecture = type as Architecture;
  const classes = raw.architectures ?? null;
  if (classes !== null && (!Array.isArray(classes) || !classes.includes(classNames[architecture])))
    throw unsupported('architectures', classNames[architecture], Array.isArray(classes) ? classes.join(', ') : classes);
  return architecture;
}

/** A window that never hides a token is no window. */
function refuseSlidingWindow(raw: RawConfig, architecture: Architecture, maxPositions: number): void {
  const layers = raw.layer_types ?? null;
  if (layers !== null && (!Array.isArray(layers) || layers.some((layer) => layer !== 'full_attention')))
    throw unsupported(
      'layer_types',
      'full_attention in every layer',
      Array.isArray(layers) ? layers.join(', ') : layers,
    );
  if (architecture === 'mistral') {
    // An absent value means 4096 to transformers.
    const window = raw.sliding_window === undefined ? 4096 : raw.sliding_window;
    if (window !== null && !(typeof window === 'number' && window >= maxPositions))
      throw unsupported('sliding_window', 'null', window);
  } else if (flag(raw, 'use_sliding_window', false)) {
    throw unsupported('use_sliding_window', 'false', true);
  }
}

/** Which projections have a bias, as transformers decides it for each family. */
function readBiases(raw: RawConfig, architecture: Architecture): { qkvBias: boolean; outputBias: boolean } {
  const given = raw.attention_bias ?? null;
  if (architecture === 'qwen2') {
    if (given === false) throw unsupported('attention_bias', 'absent or true for qwen2', given);
    return { qkvBias: true, outputBias: false };
  }
  const bias = flag(raw, 'attention_bias', false);
  if (architecture === 'mistral' && bias) throw unsupported('attention_bias', 'absent or false for mistral', given);
  return { qkvBias: bias, outputBias: bias };
}

function readHeads(raw: RawConfig, architecture: Architecture): { heads: number; kvHeads: number; headDim: number } {
  const heads = positiveInteger(raw, 'num_attention_heads');
  // Only Llama's own default is the number of heads; the others have to say.
  const kvHeads = positiveInteger(raw, 'num_key_value_heads', architecture === 'llama' ? heads : undefined);
  const width = positiveInteger(raw, 'hidden_size');
  const derived = architecture === 'qwen3' ? 128 : width / heads;
  return { heads, kvHeads, headDim: positiveInteger(raw, 'head_dim', derived) };
}

/**
 * The engine's configuration of a `config.json`.
 *
 * @throws WinnowError ERR_MODEL_UNSUPPORTED naming the field of an architecture or option that the engine
 *   does not compute; ERR_MODEL_CONFIG naming a field that is missing or of the wrong kind
 */
export function parseModelConfig(raw: RawConfig): NativeModelConfig {
  const architecture = readArchitecture(raw);
  refuseUnsupportedFields(raw);
  const maxPositions = positiveInteger(raw, 'max_position_embeddings');
  refuseSlidingWindow(raw, architecture, maxPositions);
  const normEpsilon = raw.rms_norm_eps ?? 1e-6;
  if (typeof normEpsilon !== 'number' || !(normEpsilon > 0))
    throw malformed('rms_norm_eps', 'a positive number', normEpsilon);
  return {
    vocabulary: positiveInteger(raw, 'vocab_size'),
    width: positiveInteger(raw, 'hidden_size'),
    feedForward: positiveInteger(raw, 'intermediate_size'),
    layers: positiveInteger(raw, 'num_hidden_layers'),
    ...readHeads(raw, architecture),
    maxPositions,
    normEpsilon,
    ...readBiases(raw, architecture),
    qkNorm: architecture === 'qwen3',
    tiedHead: flag(raw, 'tie_word_embeddings', false),
    ...readRope(raw),
  };
}

function architectureOf(config: NativeModelConfig): Architecture {
  if (config.qkNorm) return 'qwen3';
  return config.qkvBias && !config.outputBias ? 'qwen2' : 'llama';
}

function requireExpressible(config: NativeModelConfig, architecture: Architecture): void {
  const { qkvBias, outputBias, qkNorm } = config;
  const fits = {
    qwen2: qkvBias && !outputBias && !qkNorm,
    qwen3: qkNorm && qkvBias === outputBias,
    llama: !qkNorm && qkvBias === outputBias,
    mistral: !qkNorm && !qkvBias && !outputBias,
  }[architecture];
  if (fits) return;
  throw new WinnowError('ERR_MODEL_UNSUPPORTED', `no config.json of ${architecture} says this`, {
    received: `qkvBias ${qkvBias}, outputBias ${outputBias}, qkNorm ${qkNorm}`,
  });
}

export interface ModelConfigExtras {
  eosTokenIds: readonly number[];
  padTokenId?: number;
  /** The family whose name is written; by default the one that the biases and norms imply. */
  architecture?: Architecture;
  /** Format of the saved weights. */
  dtype?: 'f32' | 'bf16';
}

/** A `config.json` that transformers 4 and 5 both read and that `parseModelConfig` reads back unchanged. */
export function formatModelConfig(config: NativeModelConfig, extras: ModelConfigExtras): Record<string, unknown> {
  const architecture = extras.architecture ?? architectureOf(config);
  requireExpressible(config, architecture);
  const window = architecture === 'llama' ? {} : { sliding_window: null };
  const bias = architecture === 'llama' || architecture === 'qwen3' ? { attention_bias: config.outputBias } : {};
  return {
    architectures: [classNames[architecture]],
    model_type: architecture,
    vocab_size: config.vocabulary,
    hidden_size: config.width,
    intermediate_size: config.feedForward,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: config.normEpsilon,
    hidden_act: 'silu',
    ...bias,
    ...window,
    tie_word_embeddings: config.tiedHead,
    ...writeRope(config),
    torch_dtype: extras.dtype === 'bf16' ? 'bfloat16' : 'float32',
    bos_token_id: null,
    ...tokenIds(extras),
  };
}

/** The fields of `generation_config.json`, which `config.json` repeats. */
export function tokenIds(extras: ModelConfigExtras): Record<string, unknown> {
  const { eosTokenIds, padTokenId } = extras;
  return {
    eos_token_id: eosTokenIds.length > 1 ? [...eosTokenIds] : (eosTokenIds[0] ?? null),
    ...(padTokenId === undefined ? {} : { pad_token_id: padTokenId }),
  };
}
