// What callers ask of a model, with the defaults, and how it is laid out for the border.
import type {
  NativeEmbedRequest,
  NativeGenerateRequest,
  NativeGenerateResult,
  NativeLossRequest,
  NativeLossResult,
  NativeScoreRequest,
  NativeUpdateRequest,
  NativeValuesRequest,
  ParameterGroup,
  Recompute,
  StopReason,
} from './addon-types.js';
import { argumentError, flattenAligned, flattenSequences, knownKeys, splitByOffsets } from './checks.js';
import { flattenTokenBytes } from './token-bytes.js';

export interface ScoreRequest {
  sequences: readonly Int32Array[];
  temperature?: number;
  /** Tokens per forward pass. */
  maxBatchTokens?: number;
  /** False: what the model is without its adapter, e.g. as a reference policy. Default true. */
  adapter?: boolean;
}

export interface ValuesRequest {
  sequences: readonly Int32Array[];
  /** Tokens per forward pass. */
  maxBatchTokens?: number;
}

export interface EmbedRequest {
  sequences: readonly Int32Array[];
  /** Tokens per forward pass. */
  maxBatchTokens?: number;
}

export interface GenerateRequest {
  prompts: readonly Int32Array[];
  /** Identity of each prompt for the random numbers; 0, 1, 2, ... by default. */
  promptKeys?: readonly number[];
  maxTokens: number;
  /** 0 is greedy. */
  temperature?: number;
  /** 0 is off. */
  topK?: number;
  topP?: number;
  minP?: number;
  seed?: number;
  completionsPerPrompt?: number;
  ignoreStopTokens?: boolean;
  stopTokens?: readonly number[];
  /** Needs `tokenBytes`. */
  stopStrings?: readonly string[];
  /** UTF-8 bytes of every token. */
  tokenBytes?: readonly Uint8Array[];
  /** Rows decoded together. */
  maxBatch?: number;
  /** Ceiling of the KV store, in bytes. */
  maxKvBytes?: number;
  /**
   * Keys of prompts in up to so many bytes (beside `maxKvBytes`) stay until the weights change, so that a later prompt that begins
   * alike is not computed from its beginning; the results are the same, bit for bit. Default 0: none.
   */
  maxPrefixBytes?: number;
  /**
   * Activations of up to so many bytes are kept until the weights change or the next call of `generate`, so that
   * `accumulateGradients` on the sampled sequences needs no forward pass; its results are the same, bit for bit. Default 0: none.
   */
  maxActivationBytes?: number;
  /** Prompt tokens per forward pass. */
  prefillTokens?: number;
}

export interface GeneratedCompletion {
  /** The stop token included when one was sampled. */
  tokens: Int32Array;
  /** Of each token, at the sampling temperature (1 when greedy). */
  logprobs: Float32Array;
  stop: StopReason;
}

export interface GenerateResult {
  /** completions[prompt][sample] */
  completions: GeneratedCompletion[][];
  statistics: NativeGenerateResult['statistics'];
}

export interface LossRequest {
  sequences: readonly Int32Array[];
  kind: 'supervised' | 'policy_gradient' | 'value';
  /** One entry a token, mask and normaliser in one; 0 is no loss. The first token of a sequence must have 0. None for `value`. */
  weight?: readonly Float32Array[];
  /** One entry a token; needed for `policy_gradient`. */
  advantage?: readonly Float32Array[];
  /** Log-probabilities under the sampling policy; absent: the current ones, so that the ratio is exactly 1. */
  oldLogprob?: readonly Float32Array[];
  /** Needed when `klCoefficient` is above 0. */
  referenceLogprob?: readonly Float32Array[];
  /**
   * d loss / d value of each token, the value as `Model.values` gives it: taken through the value head. Needed for `value`, and
   * beside the other losses where a policy and its critic share a body.
   */
  valueGradient?: readonly Float32Array[];
  clipLow?: number;
  clipHigh?: number;
  klCoefficient?: number;
  entropyCoefficient?: number;
  temperature?: number;
  maxBatchTokens?: number;
  /** Rows of logits that exist at once, default 512. Multiples of 32 differ in the rounding of statistics alone; others, in bf16, of gradients too. */
  headChunkRows?: number;
  /**
   * `layer`: of a forward pass only the input of each layer is kept, and the rest is computed again for the gradient, to the same
   * bits: a third more products for a small part of the memory. What `generate` kept (`maxActivationBytes`) is used either way.
   */
  recompute?: Recompute;
  /** Which entries an adapter with dropout drops; another number for every update. Default 0. */
  dropoutSeed?: number;
}

/** As the engine reports it, with `logprobs` cut into one array a sequence (NaN where the weight is 0). */
export interface LossResult extends Omit<NativeLossResult, 'logprobs'> {
  logprobs: Float32Array[];
}

export interface UpdateRequest {
  learningRate: number;
  beta1?: number;
  beta2?: number;
  epsilon?: number;
  weightDecay?: number;
  /** Groups that decay; by default the matrices: embedding, attention, mlp and head. */
  decayGroups?: readonly ParameterGroup[];
  /** Global norm to clip to; 0 is no clipping. */
  maxGradientNorm?: number;
  /** 1-based, for the bias correction. */
  step: number;
}

const scoreDefaults = { temperature: 1, maxBatchTokens: 1024, adapter: true };

const generateDefaults = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  seed: 0,
  completionsPerPrompt: 1,
  ignoreStopTokens: false,
  maxBatch: 256,
  maxKvBytes: 2 ** 30,
  maxPrefixBytes: 0,
  maxActivationBytes: 0,
  prefillTokens: 512,
};

/** The gradient of the head's weight is read and written once a chunk: large ones save time, small ones memory. */
export const defaultHeadChunkRows = 512;

const lossDefaults = {
  clipLow: 0.2,
  clipHigh: 0.2,
  klCoefficient: 0,
  entropyCoefficient: 0,
  temperature: 1,
  maxBatchTokens: 1024,
  headChunkRows: defaultHeadChunkRows,
  recompute: 'none' as Recompute,
  dropoutSeed: 0,
};

const updateDefaults = {
  ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1 },
  decayGroups: ['embedding', 'attention', 'mlp', 'head'] as ParameterGroup[],
};

/** The given numbers over the defaults; an absent or undefined one keeps its default. Ranges are the engine's to check. */
function withDefaults<Defaults extends object>(given: object, defaults: Defaults): Defaults {
  const result = { ...defaults };
  for (const key of Object.keys(defaults) as (keyof Defaults)[]) {
    const value = (given as Partial<Defaults>)[key];
    if (value !== undefined) result[key] = value;
  }
  return result;
}

export function toNativeScore(request: ScoreRequest): NativeScoreRequest {
  knownKeys('score', request, ['sequences', ...Object.keys(scoreDefaults)]);
  return { ...withDefaults(request, scoreDefaults), ...flattenSequences('score.sequences', request.sequences) };
}

const passDefaults = { maxBatchTokens: 1024 };

export function toNativeValues(request: ValuesRequest): NativeValuesRequest {
  knownKeys('values', request, ['sequences', ...Object.keys(passDefaults)]);
  return { ...withDefaults(request, passDefaults), ...flattenSequences('values.sequences', request.sequences) };
}

export function toNativeEmbed(request: EmbedRequest): NativeEmbedRequest {
  knownKeys('embed', request, ['sequences', ...Object.keys(passDefaults)]);
  return { ...withDefaults(request, passDefaults), ...flattenSequences('embed.sequences', request.sequences) };
}

const generateArrays = ['prompts', 'promptKeys', 'maxTokens', 'stopTokens', 'stopStrings', 'tokenBytes'];

export function toNativeGenerate(request: GenerateRequest): NativeGenerateRequest {
  knownKeys('generate', request, [...generateArrays, ...Object.keys(generateDefaults)]);
  const { prompts, stopTokens = [], stopStrings = [], tokenBytes = [] } = request;
  const flat = flattenSequences('generate.prompts', prompts);
  if (stopTokens.some((token) => !Number.isInteger(token) || token < 0 || token > 0x7fffffff))
    throw argumentError('generate.stopTokens', 'token ids', stopTokens);
  return {
    ...withDefaults(request, generateDefaults),
    ...flat,
    ...flattenTokenBytes('generate.tokenBytes', stopStrings.length > 0 ? tokenBytes : []),
    maxTokens: request.maxTokens,
    promptKeys: Float64Array.from(request.promptKeys ?? prompts.keys()),
    stopTokens: Int32Array.from(stopTokens),
    stopStrings: [...stopStrings],
  };
}

export function fromNativeGenerate(result: NativeGenerateResult, prompts: number): GenerateResult {
  const tokens = splitByOffsets(result.tokens, result.offsets);
  const logprobs = splitByOffsets(result.logprobs, result.offsets);
  const all = result.stop.map((stop, index) => ({
    tokens: tokens[index] as Int32Array,
    logprobs: logprobs[index] as Float32Array,
    stop,
  }));
  const perPrompt = prompts === 0 ? 0 : all.length / prompts;
  const completions = Array.from({ length: prompts }, (_, prompt) =>
    all.slice(prompt * perPrompt, (prompt + 1) * perPrompt),
  );
  return { completions, statistics: result.statistics };
}

const alignedArrays = ['weight', 'advantage', 'oldLogprob', 'referenceLogprob', 'valueGradient'] as const;

export function toNativeLoss(request: LossRequest): NativeLossRequest {
  knownKeys('accumulateGradients', request, ['sequences', 'kind', ...alignedArrays, ...Object.keys(lossDefaults)]);
  const { sequences, kind } = request;
  const flat = flattenSequences('accumulateGradients.sequences', sequences);
  const aligned: Partial<Record<(typeof alignedArrays)[number], Float32Array>> = {};
  for (const name of alignedArrays) {
    const values = request[name];
    if (values !== undefined) aligned[name] = flattenAligned(`accumulateGradients.${name}`, values, sequences);
  }
  if (aligned.weight === undefined && kind !== 'value')
    throw argumentError('accumulateGradients.weight', 'an array of Float32Array, one a sequence', request.weight);
  return { ...withDefaults(request, lossDefaults), ...flat, ...aligned, kind };
}

export function toNativeUpdate(request: UpdateRequest): NativeUpdateRequest {
  knownKeys('applyGradients', request, ['learningRate', 'step', ...Object.keys(updateDefaults)]);
  return { ...withDefaults(request, updateDefaults), learningRate: request.learningRate, step: request.step };
}
