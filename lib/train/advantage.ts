/**
 * Advantages of grouped rewards, as pure functions on flat arrays. `rewards` is group-major: group g is
 * rewards[g * groupSize .. (g + 1) * groupSize). A group of one, or of equal rewards, says nothing about which answer
 * was better: its advantages are zeros, and it is counted.
 */
import { WinnowError } from '../errors.js';

export interface GroupAdvantages {
  /** Aligned with `rewards`. */
  readonly values: Float64Array;
  /** 1 for a group whose rewards differ, 0 for one without signal. Length = number of groups. */
  readonly informative: Uint8Array;
  readonly zeroVarianceGroups: number;
}

/** (r - mean) / (unbiased standard deviation + epsilon) within each group: GRPO, Shao et al. 2024 (DeepSeekMath), 4.1. */
export function groupNormalised(rewards: ArrayLike<number>, groupSize: number, epsilon = 1e-4): GroupAdvantages {
  return perGroup(rewards, groupSize, (mean, squaredDeviations) => {
    const deviation = Math.sqrt(squaredDeviations / (groupSize - 1));
    return (reward) => (reward - mean) / (deviation + epsilon);
  });
}

/** r - mean within each group, no division by the spread: Dr. GRPO, Liu et al. 2025 (arXiv 2503.20783), 3.2. */
export function meanOnly(rewards: ArrayLike<number>, groupSize: number): GroupAdvantages {
  return perGroup(rewards, groupSize, (mean) => (reward) => reward - mean);
}

type Scaling = (mean: number, squaredDeviations: number) => (reward: number) => number;

function perGroup(rewards: ArrayLike<number>, groupSize: number, scaling: Scaling): GroupAdvantages {
  if (!Number.isInteger(groupSize) || groupSize < 1 || rewards.length % groupSize !== 0) {
    throw new WinnowError('ERR_GROUP_SIZE', 'the rewards do not divide into groups', {
      expected: 'a number of rewards that is a multiple of a positive group size',
      received: `${rewards.length} rewards in groups of ${groupSize}`,
    });
  }
  const groups = rewards.length / groupSize;
  const values = new Float64Array(rewards.length);
  const informative = new Uint8Array(groups);
  for (let group = 0; group < groups; group++) {
    const members = Float64Array.from({ length: groupSize }, (_, i) => rewards[group * groupSize + i] as number);
    requireFinite(members, group);
    if (members.every((reward) => reward === members[0])) continue;
    const mean = members.reduce((sum, reward) => sum + reward, 0) / groupSize;
    const squaredDeviations = members.reduce((sum, reward) => sum + (reward - mean) ** 2, 0);
    values.set(members.map(scaling(mean, squaredDeviations)), group * groupSize);
    informative[group] = 1;
  }
  return { values, informative, zeroVarianceGroups: groups - informative.reduce((sum, flag) => sum + flag, 0) };
}

function requireFinite(members: Float64Array, group: number): void {
  const bad = members.findIndex((reward) => !Number.isFinite(reward));
  if (bad < 0) return;
  throw new WinnowError('ERR_REWARD', `reward ${bad} of group ${group} is not a number`, {
    expected: 'a finite number',
    received: String(members[bad]),
  });
}
