/**
 * Policy losses as pure functions on the tokens of one completion: value and derivative by the current log-probability, per
 * token and before any weight. The engine multiplies a token's derivative by its weight (mask and normaliser, normaliser.ts) and
 * takes it on through the model, so that a loss needs nothing else to be trained with.
 *
 * logprob: log-probabilities under the policy being trained; old: under the policy of the beginning of the step; ratio r =
 * exp(logprob - old); A: advantage. One entry a token each.
 */

export interface TokenLoss {
  readonly value: Float64Array;
  /** d(sum of values) / d logprob, where all tokens of the completion weigh the same. */
  readonly derivative: Float64Array;
  /** Tokens on which a clip acts: the ratio too low or too high for the sign of the advantage. */
  readonly clippedLow: number;
  readonly clippedHigh: number;
}

export interface ClipBounds {
  /** The ratio is clipped to [1 - low, 1 + high]. */
  readonly low: number;
  readonly high: number;
  /** Bound of the ratio where the advantage is negative; `clip` alone has it. */
  readonly dual?: number | undefined;
}

export type PolicyLoss = (
  logprob: ArrayLike<number>,
  old: ArrayLike<number>,
  advantage: ArrayLike<number>,
  bounds: ClipBounds,
) => TokenLoss;

export type PolicyLossName = 'clip' | 'gspo' | 'cispo';

/** Every loss under its name in the settings. */
export const kPolicyLosses: Readonly<Record<PolicyLossName, PolicyLoss>> = {
  clip: clippedSurrogate,
  gspo: sequenceClippedSurrogate,
  cispo: clippedImportanceWeight,
};

/**
 * -min(r A, clip(r) A): PPO, Schulman et al. 2017 (arXiv 1707.06347), eq. 7; two bounds as DAPO, Yu et al. 2025 (arXiv
 * 2503.14476), eq. 10. With `dual`, at most -dual A where A < 0: dual clip, Ye et al. 2020 (arXiv 1912.09729).
 */
export function clippedSurrogate(
  logprob: ArrayLike<number>,
  old: ArrayLike<number>,
  advantage: ArrayLike<number>,
  bounds: ClipBounds,
): TokenLoss {
  return perToken(logprob.length, (token) => {
    const ratio = Math.exp((logprob[token] as number) - (old[token] as number));
    return surrogate(ratio, advantage[token] as number, bounds);
  });
}

/**
 * The same with the sequence's ratio s = exp(mean of logprob - old) on every token: GSPO, Zheng et al. 2025 (arXiv 2507.18071),
 * eq. 5 to 7. Averaged over the sequence it is the loss of the paper, and d s / d logprob = s / length makes the derivative of
 * that average what stands here divided by the length.
 */
export function sequenceClippedSurrogate(
  logprob: ArrayLike<number>,
  old: ArrayLike<number>,
  advantage: ArrayLike<number>,
  bounds: ClipBounds,
): TokenLoss {
  const { length } = logprob;
  let sum = 0;
  for (let token = 0; token < length; token++) sum += (logprob[token] as number) - (old[token] as number);
  const ratio = Math.exp(sum / length);
  return perToken(length, (token) => surrogate(ratio, advantage[token] as number, bounds));
}

/**
 * -sg(clip(r)) A logprob, sg = no gradient: CISPO, MiniMax 2025 (arXiv 2506.13585), eq. 4 and 5. Clipping bounds a token's weight
 * and never silences it.
 */
export function clippedImportanceWeight(
  logprob: ArrayLike<number>,
  old: ArrayLike<number>,
  advantage: ArrayLike<number>,
  bounds: ClipBounds,
): TokenLoss {
  return perToken(logprob.length, (token) => {
    const ratio = Math.exp((logprob[token] as number) - (old[token] as number));
    const push = clamp(ratio, bounds) * (advantage[token] as number);
    const clipped = ratio < 1 - bounds.low ? -1 : ratio > 1 + bounds.high ? 1 : 0;
    return { value: -push * (logprob[token] as number), derivative: -push, clipped };
  });
}

interface OneToken {
  readonly value: number;
  readonly derivative: number;
  /** -1: below the lower bound; 1: above an upper one; 0: not clipped. */
  readonly clipped: -1 | 0 | 1;
}

function surrogate(ratio: number, advantage: number, bounds: ClipBounds): OneToken {
  const { dual } = bounds;
  if (dual !== undefined && advantage < 0 && ratio > dual) {
    return { value: -dual * advantage, derivative: 0, clipped: 1 };
  }
  const free = ratio * advantage;
  const bounded = clamp(ratio, bounds) * advantage;
  if (free <= bounded) return { value: -free, derivative: -free, clipped: 0 };
  return { value: -bounded, derivative: 0, clipped: advantage < 0 ? -1 : 1 };
}

function clamp(ratio: number, { low, high }: ClipBounds): number {
  return Math.min(Math.max(ratio, 1 - low), 1 + high);
}

function perToken(length: number, lossOf: (token: number) => OneToken): TokenLoss {
  const value = new Float64Array(length);
  const derivative = new Float64Array(length);
  let clippedLow = 0;
  let clippedHigh = 0;
  for (let token = 0; token < length; token++) {
    const one = lossOf(token);
    value[token] = one.value;
    derivative[token] = one.derivative;
    if (one.clipped < 0) clippedLow++;
    if (one.clipped > 0) clippedHigh++;
  }
  return { value, derivative, clippedLow, clippedHigh };
}
