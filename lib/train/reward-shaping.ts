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
  return -coefficient * divergence(estimator, sampled, reference).value.reduce((sum, value) => sum + value, 0);
}
