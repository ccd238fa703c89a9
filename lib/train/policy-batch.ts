/** From judged groups of completions to the aligned arrays of the policy-gradient loss. Pure. */
import type { GroupAdvantages } from './advantage.js';
import { type Normaliser, tokenWeights } from './normaliser.js';

/** What was sampled, in group-major order: completion c answers prompt floor(c / groupSize). */
export interface SampledGroups {
  readonly prompts: readonly Int32Array[];
  readonly groupSize: number;
  readonly completions: readonly {
    readonly tokens: Int32Array;
    readonly logprobs: Float32Array;
    readonly truncated: boolean;
  }[];
}

/** Arrays of one sequence each, aligned with its tokens; prompt tokens have weight 0. */
export interface PolicyBatch {
  readonly sequences: Int32Array[];
  readonly weight: Float32Array[];
  readonly advantage: Float32Array[];
  readonly oldLogprob: Float32Array[];
  /** Sum of all weights: what a sum over the batch is divided by to become a mean per token. */
  readonly totalWeight: number;
}

export interface PolicyBatchOptions {
  readonly normaliser: Normaliser;
  readonly maxTokens: number;
  readonly maskTruncated: boolean;
  /** Keeps groups without signal too; needed where another term of the loss (KL, entropy) acts on them. */
  readonly keepAll: boolean;
}

export function policyBatch(
  sampled: SampledGroups,
  advantages: GroupAdvantages,
  options: PolicyBatchOptions,
): PolicyBatch {
  const shapes = sampled.completions.map(({ tokens, truncated }) => ({
    length: tokens.length,
    active: !(options.maskTruncated && truncated),
  }));
  const weights = tokenWeights(shapes, options.normaliser, options.maxTokens);
  const batch = { sequences: [], weight: [], advantage: [], oldLogprob: [] } as {
    [name in Exclude<keyof PolicyBatch, 'sequences' | 'totalWeight'>]: Float32Array[];
  } & { sequences: Int32Array[] };
  let totalWeight = 0;
  for (const [index, { tokens, logprobs }] of sampled.completions.entries()) {
    const group = Math.floor(index / sampled.groupSize);
    const weight = weights[index] as number;
    if (weight === 0 || !(options.keepAll || advantages.informative[group])) continue;
    const prompt = sampled.prompts[group] as Int32Array;
    batch.sequences.push(concatenate(prompt, tokens));
    batch.weight.push(onCompletion(prompt, tokens, () => weight));
    batch.advantage.push(onCompletion(prompt, tokens, () => advantages.values[index] as number));
    batch.oldLogprob.push(onCompletion(prompt, tokens, (position) => logprobs[position] as number));
    totalWeight += weight * tokens.length;
  }
  return { ...batch, totalWeight };
}

export function concatenate(prompt: Int32Array, completion: Int32Array): Int32Array {
  const sequence = new Int32Array(prompt.length + completion.length);
  sequence.set(prompt);
  sequence.set(completion, prompt.length);
  return sequence;
}

/** An array over prompt and completion that is 0 on the prompt. */
export function onCompletion(
  prompt: Int32Array,
  completion: Int32Array,
  value: (position: number) => number,
): Float32Array {
  const values = new Float32Array(prompt.length + completion.length);
  for (let position = 0; position < completion.length; position++) values[prompt.length + position] = value(position);
  return values;
}
