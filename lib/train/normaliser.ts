/**
 * The weight of every completion token in the policy-gradient loss: mask and normaliser in one number, so that the
 * engine only ever sums. Lengths are those of the whole batch, groups without signal included: dropping such a group
 * saves its forward pass and changes no gradient.
 */

/**
 * How a batch of B completions is averaged.
 * - `token`: 1 / (active tokens of the batch). DAPO, Yu et al. 2025 (arXiv 2503.14476), eq. 8.
 * - `sequence`: 1 / (B * tokens of the sequence), the mean of sequence means. GRPO, Shao et al. 2024, eq. 3.
 * - `constant`: 1 / (B * maxTokens), free of length bias. Dr. GRPO, Liu et al. 2025 (arXiv 2503.20783), 3.2.
 */
export type Normaliser = 'token' | 'sequence' | 'constant';

export interface CompletionShape {
  readonly length: number;
  /** False for a completion that bears no loss, e.g. a truncated one under `maskTruncated`. */
  readonly active: boolean;
}

/** Weight of each token of completion i; 0 where it is not active. Sizes: one number per completion. */
export function tokenWeights(
  completions: readonly CompletionShape[],
  normaliser: Normaliser,
  maxTokens: number,
): Float64Array {
  const batch = completions.length;
  const activeTokens = completions.reduce((sum, { length, active }) => sum + (active ? length : 0), 0);
  return Float64Array.from(completions, ({ length, active }) => {
    if (!active || length === 0) return 0;
    if (normaliser === 'token') return 1 / activeTokens;
    return 1 / (batch * (normaliser === 'sequence' ? length : maxTokens));
  });
}
