/** From groups of completions with advantages to the sequences of the policy's loss. Pure. */
import { type Normaliser, tokenWeights } from './normaliser.js';
import type { ValueTarget } from './value-loss.js';

/** `Advantage`: one number for all tokens, or one a token. */
export interface TrainCompletion<Advantage = number> {
  readonly tokens: Int32Array;
  /** Of each token, under the policy that sampled it. */
  readonly logprobs: Float32Array;
  readonly truncated: boolean;
  readonly advantage: Advantage;
  /** With a critic: one entry a token. */
  readonly target?: ValueTarget;
}

export interface TrainGroup<Advantage = number> {
  readonly prompt: Int32Array;
  readonly completions: readonly TrainCompletion<Advantage>[];
  /** False when all its advantages are 0 and it can teach nothing by them. */
  readonly informative: boolean;
  /** Steps since it was sampled; 0 for a group of this step. */
  readonly age: number;
}

/** A prompt with a completion, and where the completion begins. */
export interface SequencePlace {
  readonly tokens: Int32Array;
  readonly start: number;
}

/** One completion in the loss. */
export interface PolicySequence<Advantage = number> {
  /** Prompt, then completion. */
  readonly tokens: Int32Array;
  /** Where the completion begins. */
  readonly start: number;
  /** Of each completion token: mask and normaliser in one. */
  readonly weight: number;
  readonly advantage: Advantage;
  readonly target?: ValueTarget | undefined;
  /** One entry a completion token, under the policy that sampled it. */
  readonly sampledLogprob: Float32Array;
  /** Steps since it was sampled; above 0 the policy has changed since. */
  readonly age: number;
}

export interface PolicyBatchOptions {
  readonly normaliser: Normaliser;
  readonly maxTokens: number;
  readonly maskTruncated: boolean;
  /** Keeps groups without signal too; needed where another term of the loss (KL, entropy) acts on them. */
  readonly keepAll: boolean;
}

/** Weights are made of all completions, those that bear no loss included: leaving such a one out changes no gradient. */
export function policyBatch<Advantage>(
  groups: readonly TrainGroup<Advantage>[],
  options: PolicyBatchOptions,
): PolicySequence<Advantage>[] {
  const shapes = groups.flatMap(({ completions }) =>
    completions.map(({ tokens, truncated }) => ({
      length: tokens.length,
      active: !(options.maskTruncated && truncated),
    })),
  );
  const weights = tokenWeights(shapes, options.normaliser, options.maxTokens);
  let index = 0;
  return groups.flatMap(({ prompt, completions, informative, age }) =>
    completions.flatMap(({ tokens, logprobs, advantage, target }): PolicySequence<Advantage>[] => {
      const weight = weights[index++] as number;
      if (weight === 0 || !(options.keepAll || informative)) return [];
      return [
        {
          ...{ tokens: concatenate(prompt, tokens), start: prompt.length, weight, advantage },
          ...{ sampledLogprob: logprobs, age },
          ...(target === undefined ? {} : { target }),
        },
      ];
    }),
  );
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
