/** What is taken from a completion's reward before advantages are made of it. Pure. */
import { type DivergenceEstimator, divergence } from './divergence.js';

/**
 * Soft overlong punishment (DAPO, Yu et al. 2025, arXiv 2503.14476, eq. 13): 0 up to `maxTokens - buffer` tokens, then linear, and
 * -`penalty` from `maxTokens` on. To be added to the reward.
 */
export function overlongPenalty(
  length: number,
  maxTokens: number,
  { buffer, penalty }: { readonly buffer: number; readonly penalty: number },
): number {
  const excess = length - (maxTokens - buffer);
  return excess <= 0 ? 0 : -penalty * Math.min(1, excess / buffer);
}

/**
 * -coefficient times the sum of the KL estimates of a completion's tokens, under the policy that sampled it: the KL term "in the
 * reward" (Stiennon et al. 2020, arXiv 2009.01325, 3.4; RLOO, arXiv 2402.14740). To be added to the reward.
 */
export function divergencePenalty(
  sampled: ArrayLike<number>,
  reference: ArrayLike<number>,
  { coefficient, estimator }: { readonly coefficient: number; readonly estimator: DivergenceEstimator },
): number {
  return tokenPenalties(sampled, reference, { coefficient, estimator }).reduce((sum, value) => sum + value, 0);
}

/** The same token by token, each taken from the reward of its own token, as PPO does (Stiennon et al. 2020, 3.4). */
export function tokenPenalties(
  sampled: ArrayLike<number>,
  reference: ArrayLike<number>,
  { coefficient, estimator }: { readonly coefficient: number; readonly estimator: DivergenceEstimator },
): Float64Array {
  return divergence(estimator, sampled, reference).value.map((value) => -coefficient * value);
}

/**
 * The reward of a completion, token by token: all of it on the last token, which is the stop token where one was sampled, and on
 * every token its penalty. A completion that was cut off ends where it was cut.
 */
export function tokenRewards(reward: number, length: number, penalties?: Float64Array): Float64Array {
  const rewards = penalties === undefined ? new Float64Array(length) : Float64Array.from(penalties);
  if (length > 0) rewards[length - 1] = (rewards[length - 1] as number) + reward;
  return rewards;
}
