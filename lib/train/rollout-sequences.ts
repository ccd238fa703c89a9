/** The completions of a rollout as sequences for the engine. Pure. */
import { concatenate, type SequencePlace } from './policy-batch.js';
import type { RolloutGroup } from './rollout.js';

export interface CompletionSequence extends SequencePlace {
  /** Of the completion's tokens, under the policy that sampled them. */
  readonly logprobs: Float32Array;
}

/** One a completion, group-major. */
export function completionSequences(groups: readonly RolloutGroup[]): CompletionSequence[] {
  return groups.flatMap(({ prompt, completions }) =>
    completions.map(({ tokens, logprobs }) => ({
      tokens: concatenate(prompt, tokens),
      start: prompt.length,
      logprobs,
    })),
  );
}

/** Of all sequences, the prompt counted with each completion. */
export function countTokens(groups: readonly RolloutGroup[]): number {
  return groups.reduce(
    (sum, { prompt, completions }) => completions.reduce((own, { tokens }) => own + prompt.length + tokens.length, sum),
    0,
  );
}
