/**
 * Advantages as pure functions on flat arrays. `rewards` is group-major: group g is
 * rewards[g * groupSize .. (g + 1) * groupSize). Rewards that do not differ from their baseline say nothing about which
 * answer was better: their advantages are zeros, and such groups are counted.
 */
import { WinnowError } from '../errors.js';

export interface GroupAdvantages {
  /** Aligned with `rewards`. */
  readonly values: Float64Array;
  /** 1 for a group with an advantage that is not zero, 0 for one without signal. Length = number of groups. */
  readonly informative: Uint8Array;
  /** Groups whose rewards are all equal, groups of one among them. */
  readonly zeroVarianceGroups: number;
}

export type AdvantageName = 'group' | 'mean' | 'leave-one-out' | 'batch' | 'group-mean-batch-std';

/** Every estimator under its name in the settings. */
export const kAdvantages: Readonly<
  Record<AdvantageName, (rewards: ArrayLike<number>, groupSize: number) => GroupAdvantages>
> = {
  group: groupNormalised,
  mean: meanOnly,
  'leave-one-out': leaveOneOut,
  batch: batchNormalised,
  'group-mean-batch-std': groupMeanBatchNormalised,
};

/** (r - mean) / (unbiased standard deviation + epsilon) within each group: GRPO, Shao et al. 2024 (DeepSeekMath), 4.1. */
export function groupNormalised(rewards: ArrayLike<number>, groupSize: number, epsilon = 1e-4): GroupAdvantages {
  return perGroup(rewards, groupSize, (members) => {
    const centred = minusMean(members);
    const deviation = unbiasedDeviation(centred);
    return centred.map((value) => value / (deviation + epsilon));
  });
}

/** r - mean within each group, no division by the spread: Dr. GRPO, Liu et al. 2025 (arXiv 2503.20783), 3.2. */
export function meanOnly(rewards: ArrayLike<number>, groupSize: number): GroupAdvantages {
  return perGroup(rewards, groupSize, minusMean);
}

/** r - mean of the others of its group: RLOO, Kool et al. 2019; Ahmadian et al. 2024 (arXiv 2402.14740). */
export function leaveOneOut(rewards: ArrayLike<number>, groupSize: number): GroupAdvantages {
  return perGroup(rewards, groupSize, (members) => {
    const sum = members.reduce((total, reward) => total + reward, 0);
    return members.map((reward) => reward - (sum - reward) / (groupSize - 1));
  });
}

/**
 * (r - mean) / (unbiased standard deviation + epsilon) over the whole batch: REINFORCE++, Hu 2025 (arXiv 2501.03262), 3.
 * Works with groups of one, and gives a group of equal rewards the signal that it differs from the other groups.
 */
export function batchNormalised(rewards: ArrayLike<number>, groupSize: number, epsilon = 1e-8): GroupAdvantages {
  const { zeroVarianceGroups } = meanOnly(rewards, groupSize);
  const values = Float64Array.from(rewards);
  // Compared as they are: rounding must not give equal rewards an advantage.
  const equal = values.every((value) => value === values[0]);
  const centred = equal ? new Float64Array(values.length) : minusMean(values);
  return { ...scaledByDeviation(centred, groupSize, epsilon), zeroVarianceGroups };
}

/** r - mean of its group, then divided by the standard deviation of the batch: REINFORCE++-baseline, same paper, 3. */
export function groupMeanBatchNormalised(
  rewards: ArrayLike<number>,
  groupSize: number,
  epsilon = 1e-8,
): GroupAdvantages {
  const { values, zeroVarianceGroups } = meanOnly(rewards, groupSize);
  return { ...scaledByDeviation(values, groupSize, epsilon), zeroVarianceGroups };
}

export interface TokenAdvantages {
  /** One entry a token. */
  readonly values: Float64Array;
  /** advantage + value: what a critic is trained towards. */
  readonly returns: Float64Array;
}

/**
 * Generalised advantage estimation of one completion (Schulman et al. 2016, arXiv 1506.02438, eq. 16):
 * delta_t = r_t + discount V_{t+1} - V_t, A_t = delta_t + discount lambda A_{t+1}, with V = 0 after the last token.
 * `rewards` and `values` have one entry a token; with zero values and discount = lambda = 1 it is the reward to go.
 */
export function generalisedAdvantage(
  rewards: ArrayLike<number>,
  values: ArrayLike<number>,
  { discount, lambda }: { readonly discount: number; readonly lambda: number },
): TokenAdvantages {
  if (rewards.length !== values.length) {
    throw new WinnowError('ERR_SHAPE', 'rewards and values are of different tokens', {
      expected: `${rewards.length} values`,
      received: String(values.length),
    });
  }
  const advantages = new Float64Array(rewards.length);
  let next = 0;
  for (let token = rewards.length - 1; token >= 0; token--) {
    const value = values[token] as number;
    const delta = (rewards[token] as number) + discount * (values[token + 1] ?? 0) - value;
    next = delta + discount * lambda * next;
    advantages[token] = next;
  }
  return { values: advantages, returns: advantages.map((advantage, token) => advantage + (values[token] as number)) };
}

/**
 * (A - mean) / sqrt(unbiased variance + epsilon) over all tokens of the completions that are `active`, as TRL and veRL whiten
 * (Andrychowicz et al. 2021, arXiv 2006.05990, C67); the others become zeros. Advantages that are all equal, or of one token, become
 * zeros too.
 */
export function whitened(
  advantages: readonly Float64Array[],
  active: readonly boolean[] = advantages.map(() => true),
  epsilon = 1e-8,
): Float64Array[] {
  const counted = Float64Array.from(advantages.flatMap((own, index) => (active[index] ? Array.from(own) : [])));
  const mean = counted.reduce((sum, value) => sum + value, 0) / counted.length;
  const equal = counted.every((value) => value === counted[0]);
  const scale = equal ? 0 : 1 / Math.sqrt(unbiasedDeviation(counted.map((value) => value - mean)) ** 2 + epsilon);
  return advantages.map((own, index) => own.map((value) => (active[index] ? (value - mean) * scale + 0 : 0)));
}

function perGroup(
  rewards: ArrayLike<number>,
  groupSize: number,
  advantages: (members: Float64Array) => Float64Array,
): GroupAdvantages {
  requireGroups(rewards, groupSize);
  const groups = rewards.length / groupSize;
  const values = new Float64Array(rewards.length);
  const informative = new Uint8Array(groups);
  for (let group = 0; group < groups; group++) {
    const members = Float64Array.from({ length: groupSize }, (_, i) => rewards[group * groupSize + i] as number);
    requireFinite(members, group);
    // Compared as they are: rounding must not give equal rewards an advantage.
    if (members.every((reward) => reward === members[0])) continue;
    values.set(advantages(members), group * groupSize);
    informative[group] = 1;
  }
  return { values, informative, zeroVarianceGroups: groups - informative.reduce((sum, flag) => sum + flag, 0) };
}

/** Centred values over their standard deviation; zeros stay zeros. */
function scaledByDeviation(values: Float64Array, groupSize: number, epsilon: number) {
  const deviation = unbiasedDeviation(values);
  const scaled = deviation > 0 ? values.map((value) => value / (deviation + epsilon)) : values;
  const informative = Uint8Array.from({ length: values.length / groupSize }, (_, group) =>
    scaled.subarray(group * groupSize, (group + 1) * groupSize).some((value) => value !== 0) ? 1 : 0,
  );
  return { values: scaled, informative };
}

function minusMean(members: Float64Array): Float64Array {
  const mean = members.reduce((sum, reward) => sum + reward, 0) / members.length;
  return members.map((reward) => reward - mean);
}

function unbiasedDeviation(centred: Float64Array): number {
  return Math.sqrt(centred.reduce((sum, value) => sum + value ** 2, 0) / (centred.length - 1));
}

function requireGroups(rewards: ArrayLike<number>, groupSize: number): void {
  if (Number.isInteger(groupSize) && groupSize >= 1 && rewards.length % groupSize === 0) return;
  throw new WinnowError('ERR_GROUP_SIZE', 'the rewards do not divide into groups', {
    expected: 'a number of rewards that is a multiple of a positive group size',
    received: `${rewards.length} rewards in groups of ${groupSize}`,
  });
}

function requireFinite(members: Float64Array, group: number): void {
  const bad = members.findIndex((reward) => !Number.isFinite(reward));
  if (bad < 0) return;
  throw new WinnowError('ERR_REWARD', `reward ${bad} of group ${group} is not a number`, {
    expected: 'a finite number',
    received: String(members[bad]),
  });
}
