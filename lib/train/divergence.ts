/**
 * Estimates of KL(policy || reference) from sampled tokens, with their derivatives. Schulman, "Approximating KL divergence", 2020:
 * with d = reference - logprob, k1 = -d (unbiased, may be negative), k2 = d^2 / 2, k3 = exp(d) - d - 1 (unbiased, never negative).
 *
 * In the loss an estimate is ADDED, so that divergence is punished, and there its gradient counts, which for tokens sampled from
 * the policy has this mean: k1: zero, whatever the reference; k2: the gradient of KL(policy || reference); k3: that of the reverse,
 * KL(reference || policy). `corrected` multiplies by the ratio, which gives k1 and k3 the gradient of KL(policy || reference)
 * (DeepSeek-V3.2, arXiv 2512.02556, 3.1; TRL's use_bias_correction_kl).
 */

export type DivergenceEstimator = 'k1' | 'k2' | 'k3';

export interface TokenDivergence {
  readonly value: Float64Array;
  /** By the current log-probability of the token. */
  readonly derivative: Float64Array;
}

/** One entry a token in every array. */
export function divergence(
  estimator: DivergenceEstimator,
  logprob: ArrayLike<number>,
  reference: ArrayLike<number>,
): TokenDivergence {
  const value = new Float64Array(logprob.length);
  const derivative = new Float64Array(logprob.length);
  for (let token = 0; token < logprob.length; token++) {
    const difference = (reference[token] as number) - (logprob[token] as number);
    [value[token], derivative[token]] = kEstimators[estimator](difference);
  }
  return { value, derivative };
}

/** r k with r = exp(logprob - old), its own gradient included: d(r k) = r (k + k'). */
export function correctedDivergence(
  estimator: DivergenceEstimator,
  logprob: ArrayLike<number>,
  reference: ArrayLike<number>,
  old: ArrayLike<number>,
): TokenDivergence {
  const plain = divergence(estimator, logprob, reference);
  const ratio = Float64Array.from(logprob, (value, token) => Math.exp(value - (old[token] as number)));
  return {
    value: plain.value.map((value, token) => value * (ratio[token] as number)),
    derivative: plain.derivative.map(
      (value, token) => (ratio[token] as number) * (value + (plain.value[token] as number)),
    ),
  };
}

/** Value and derivative by logprob, from d = reference - logprob. */
const kEstimators: Readonly<Record<DivergenceEstimator, (d: number) => [value: number, derivative: number]>> = {
  k1: (d) => [-d, 1],
  k2: (d) => [d ** 2 / 2, -d],
  k3: (d) => [Math.exp(d) - d - 1, 1 - Math.exp(d)],
};
