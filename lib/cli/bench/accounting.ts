/**
 * The work of each workload, counted once and by hand: the least that any implementation of the same mathematics must do with
 * prefixes shared and the head only where it is needed. Fractions of a floor are against these counts.
 *
 * Counting rules
 * - A product of (m, k) and (k, n) is 2 m k n FLOPs; a backward pass costs twice its forward pass. Norms, rotary embedding,
 *   softmax, the activation and the sampler are not counted: they are below one percent at these shapes.
 * - Attention costs 4 H Dh FLOPs for each (query, visible key) pair, forward (Q K^T and P V); the backward pass needs five
 *   products where the forward pass has two.
 * - Bytes are what must come from memory at least once: the weights of a pass in their dtype, keys and values in theirs, and 28
 *   bytes per parameter in an AdamW step (read gradient, master and moments, write master and moments).
 */
import type { DTypeName, NativeModelConfig } from '../../native/index.js';

export interface Work {
  /** Floating-point operations in the products of weights and of attention. */
  readonly flops: number;
  /** Bytes that must cross from memory. */
  readonly bytes: number;
}

export interface Peak {
  /** FLOP/s of the best multiply-add loop on all threads. */
  readonly flopsPerSecond: number;
  /** Bytes/s of reading memory on all threads. */
  readonly bytesPerSecond: number;
}

const F32_BYTES = 4;
const ADAMW_BYTES = 28;

export const dtypeBytes = (dtype: DTypeName): number => (dtype === 'bf16' ? 2 : F32_BYTES);

/** Elements of the weight matrices of all layers: what each token is multiplied with, the head left out. */
export function bodyWeights(config: NativeModelConfig): number {
  const { width, feedForward, layers, heads, kvHeads, headDim } = config;
  const attention = 2 * width * heads * headDim + 2 * width * kvHeads * headDim;
  return layers * (attention + 3 * width * feedForward);
}

export const headWeights = (config: NativeModelConfig): number => config.vocabulary * config.width;

/** Elements of all matrices that are stored and trained. */
export const parameterCount = (config: NativeModelConfig): number =>
  bodyWeights(config) + headWeights(config) * (config.tiedHead ? 1 : 2);

export const attentionFlops = (config: NativeModelConfig, pairs: number): number =>
  4 * config.layers * config.heads * config.headDim * pairs;

export const kvBytesPerToken = (config: NativeModelConfig, dtype: DTypeName): number =>
  2 * config.layers * config.kvHeads * config.headDim * dtypeBytes(config.keyValueDtype ?? dtype);

/** (query, key) pairs of `count` tokens that follow `before` others on one path. */
export const causalPairs = (before: number, count: number): number => count * before + (count * (count + 1)) / 2;

export const sumOfWork = (works: readonly Work[]): Work => ({
  flops: works.reduce((sum, work) => sum + work.flops, 0),
  bytes: works.reduce((sum, work) => sum + work.bytes, 0),
});

/** One product of `rows` by a weight (n, k). */
export function gemmWork(rows: number, n: number, k: number, dtype: DTypeName): Work {
  return { flops: 2 * rows * n * k, bytes: n * k * dtypeBytes(dtype) };
}

/** A prompt of `tokens`, and the head on its last token. */
export function prefillWork(config: NativeModelConfig, dtype: DTypeName, tokens: number): Work {
  const weights = bodyWeights(config) + headWeights(config);
  return {
    flops: 2 * tokens * bodyWeights(config) + 2 * headWeights(config) + attentionFlops(config, causalPairs(0, tokens)),
    bytes: weights * dtypeBytes(dtype) + tokens * kvBytesPerToken(config, dtype),
  };
}

/**
 * `steps` decode steps of `rows` paths. Each path has `context` tokens when they begin, the first `shared` of which are common
 * to all and are read once.
 */
export function decodeWork(
  config: NativeModelConfig,
  dtype: DTypeName,
  { rows, context, shared, steps }: { rows: number; context: number; shared: number; steps: number },
): Work {
  const weights = bodyWeights(config) + headWeights(config);
  const ownKeys = rows * causalPairs(context - shared, steps);
  return {
    flops: 2 * rows * steps * weights + attentionFlops(config, rows * causalPairs(context, steps)),
    bytes: steps * weights * dtypeBytes(dtype) + (ownKeys + steps * shared) * kvBytesPerToken(config, dtype),
  };
}

export interface GroupShape {
  /** G: completions of one prompt. */
  readonly group: number;
  /** P: tokens of the prompt. */
  readonly prompt: number;
  /** R: tokens of each completion. */
  readonly completion: number;
}

/**
 * Gradient of one group with its prompt shared: the head forward and backward on the completions alone, then the layers backward.
 * The layers' forward pass is that of the sampling, whose activations can be kept; the logits cannot, being (tokens, vocabulary).
 */
export function groupGradientPhases(
  config: NativeModelConfig,
  dtype: DTypeName,
  { group, prompt, completion }: GroupShape,
): { readonly head: Work; readonly backward: Work } {
  // The last token of a completion predicts nothing: it needs no row.
  const rows = prompt + group * (completion - 1);
  const pairs = causalPairs(0, prompt) + group * causalPairs(prompt, completion - 1);
  return {
    head: headGradientWork(config, dtype, group * completion),
    backward: bodyBackwardWork(config, dtype, rows, pairs),
  };
}

/** The head forward and backward on `rows` tokens: its weight is read twice and its f32 gradient written once. */
function headGradientWork(config: NativeModelConfig, dtype: DTypeName, rows: number): Work {
  const weights = headWeights(config);
  return { flops: 6 * rows * weights, bytes: 2 * weights * dtypeBytes(dtype) + weights * F32_BYTES };
}

/** The layers backward: their weights are read and their f32 gradients written once. */
function bodyBackwardWork(config: NativeModelConfig, dtype: DTypeName, rows: number, pairs: number): Work {
  const weights = bodyWeights(config);
  return {
    flops: 4 * rows * weights + 2.5 * attentionFlops(config, pairs),
    bytes: weights * (dtypeBytes(dtype) + F32_BYTES),
  };
}

export const updateWork = (config: NativeModelConfig): Work => ({
  flops: 0,
  bytes: parameterCount(config) * ADAMW_BYTES,
});

/**
 * A full training step in its phases, every sequence by itself: the layers forward and backward, the head forward and backward on
 * every token that has a next one, AdamW.
 */
export function trainPhases(
  config: NativeModelConfig,
  dtype: DTypeName,
  { sequences, length }: { sequences: number; length: number },
): Record<string, Work> {
  // The last token of a sequence predicts nothing: it needs no row.
  const rows = sequences * (length - 1);
  const pairs = sequences * causalPairs(0, length - 1);
  const weights = bodyWeights(config);
  return {
    forward: { flops: 2 * rows * weights + attentionFlops(config, pairs), bytes: weights * dtypeBytes(dtype) },
    head: headGradientWork(config, dtype, rows),
    backward: bodyBackwardWork(config, dtype, rows, pairs),
    update: updateWork(config),
  };
}

/** The least time for `work`: whichever of arithmetic and memory binds. */
export function floorSeconds(work: Work, peak: Peak): number {
  return Math.max(work.flops / peak.flopsPerSecond, work.bytes / peak.bytesPerSecond);
}

/** The floor of phases that follow one another, each bound by its own limit. */
export const floorOfPhases = (phases: readonly Work[], peak: Peak): number =>
  phases.reduce((sum, work) => sum + floorSeconds(work, peak), 0);

/** A GRPO step in its phases; the prompt and the decode steps of the sampling have different limits. */
export function grpoPhases(config: NativeModelConfig, dtype: DTypeName, shape: GroupShape): Record<string, Work> {
  const { group, prompt, completion } = shape;
  return {
    prefill: prefillWork(config, dtype, prompt),
    decode: decodeWork(config, dtype, { rows: group, context: prompt, shared: prompt, steps: completion - 1 }),
    ...groupGradientPhases(config, dtype, shape),
    update: updateWork(config),
  };
}
