/**
 * The loss of a policy update, put together from its named parts, and the arrays with which the engine makes its gradient. Pure.
 *
 *   loss = sum over tokens of weight (importance policyLoss + kl.coefficient divergence - entropyCoefficient entropy)
 *
 * There is one way for every loss: its derivative by each token's log-probability is computed here and handed to the engine as
 * the "advantage" of a policy gradient at ratio 1, for which the engine's own derivative is -weight advantage. The entropy, whose
 * derivative needs the whole distribution, is the engine's part.
 */
import type { GrpoConfig } from './config.js';
import { correctedDivergence, divergence } from './divergence.js';
import type { PolicySequence } from './policy-batch.js';
import { type ClipBounds, kPolicyLosses, type PolicyLossName } from './policy-loss.js';

export type PolicyGradientConfig = Pick<GrpoConfig, 'loss' | 'clipLow' | 'clipHigh' | 'dualClip' | 'kl'>;

/** A sequence with what its loss is measured against; one entry a completion token in every array. */
export interface PolicyTerm extends PolicySequence<number | ArrayLike<number>> {
  /** Under the policy of the beginning of the step. */
  readonly oldLogprob: ArrayLike<number>;
  readonly referenceLogprob?: ArrayLike<number> | undefined;
  /** Of a replayed completion: min(policy of the beginning of the step / policy that sampled it, truncation). */
  readonly importance?: ArrayLike<number> | undefined;
}

/** Sums over tokens, each times its weight unless said. */
export interface PolicySums {
  policyLoss: number;
  kl: number;
  weight: number;
  /** Plain counts. */
  clippedLow: number;
  clippedHigh: number;
  tokens: number;
}

export interface PolicyGradient {
  /** One array a sequence, aligned with its tokens, 0 on the prompt: the engine's `weight` and `advantage`. */
  readonly weight: Float32Array[];
  readonly advantage: Float32Array[];
  readonly sums: PolicySums;
}

/** `logprobs`: current log-probabilities, one array a term, one entry a completion token. */
export function policyGradient(
  terms: readonly PolicyTerm[],
  logprobs: readonly ArrayLike<number>[],
  config: PolicyGradientConfig,
): PolicyGradient {
  const sums: PolicySums = { policyLoss: 0, kl: 0, weight: 0, clippedLow: 0, clippedHigh: 0, tokens: 0 };
  const gradient: PolicyGradient = { weight: [], advantage: [], sums };
  for (const [index, term] of terms.entries()) {
    const derivative = addTerm(sums, term, logprobs[index] as ArrayLike<number>, config);
    const weight = new Float32Array(term.tokens.length);
    const advantage = new Float32Array(term.tokens.length);
    weight.fill(term.weight, term.start);
    advantage.set(
      derivative.map((value) => -value),
      term.start,
    );
    gradient.weight.push(weight);
    gradient.advantage.push(advantage);
  }
  return gradient;
}

/** Adds the term's values to `sums` and gives the derivative per token, before the weight. */
function addTerm(
  sums: PolicySums,
  term: PolicyTerm,
  logprob: ArrayLike<number>,
  { loss, kl, ...bounds }: PolicyGradientConfig,
): Float64Array {
  const { weight, oldLogprob, referenceLogprob, importance } = term;
  const advantage =
    typeof term.advantage === 'number' ? new Float64Array(logprob.length).fill(term.advantage) : term.advantage;
  const policy = kPolicyLosses[loss](logprob, oldLogprob, advantage, clipBounds(loss, bounds));
  const inLoss = kl?.place === 'loss' && referenceLogprob !== undefined ? kl : undefined;
  const away =
    referenceLogprob === undefined
      ? undefined
      : inLoss?.corrected
        ? correctedDivergence(inLoss.estimator, logprob, referenceLogprob, oldLogprob)
        : divergence(kl?.estimator ?? 'k3', logprob, referenceLogprob);
  sums.clippedLow += policy.clippedLow;
  sums.clippedHigh += policy.clippedHigh;
  sums.tokens += logprob.length;
  sums.weight += weight * logprob.length;
  return policy.derivative.map((derivative, token) => {
    const share = importance?.[token] ?? 1;
    sums.policyLoss += weight * share * (policy.value[token] as number);
    sums.kl += weight * (away?.value[token] ?? 0);
    return share * derivative + (inLoss?.coefficient ?? 0) * (away?.derivative[token] ?? 0);
  });
}

/** Of PPO and GRPO; of GSPO's paper, 5.1; of TRL's example for CISPO, whose lower bound is off. */
const kClipDefaults: Readonly<Record<PolicyLossName, readonly [low: number, high: number]>> = {
  clip: [0.2, 0.2],
  gspo: [3e-4, 4e-4],
  cispo: [1, 4],
};

export function clipBounds(
  loss: PolicyLossName,
  { clipLow, clipHigh, dualClip }: Pick<PolicyGradientConfig, 'clipLow' | 'clipHigh' | 'dualClip'>,
): ClipBounds {
  const [low, high] = kClipDefaults[loss];
  return { low: clipLow ?? low, high: clipHigh ?? high, dual: dualClip };
}

/** min(exp(current - sampled), truncation) per token: truncated importance sampling (Ionides 2008; in RL for LLMs, Yao et al. 2025). */
export function truncatedImportance(
  current: ArrayLike<number>,
  sampled: ArrayLike<number>,
  truncation: number,
): Float64Array {
  return Float64Array.from(current, (value, token) =>
    Math.min(Math.exp(value - (sampled[token] as number)), truncation),
  );
}
