import { describe, expect, it } from 'vitest';
import {
  batchNormalised,
  generalisedAdvantage,
  groupMeanBatchNormalised,
  groupNormalised,
  kAdvantages,
  leaveOneOut,
  meanOnly,
} from '../../lib/train/advantage.js';

describe('groupNormalised', () => {
  it('is the z-score with the unbiased deviation, worked by hand on 2 groups of 3', () => {
    // Group 0: 1, 2, 6: mean 3, squared deviations 4 + 1 + 9 = 14, unbiased variance 7.
    // Group 1: 0, 0, -0.5: mean -1/6, squared deviations 2/36 + 4/36 = 1/6, unbiased variance 1/12.
    const { values, zeroVarianceGroups } = groupNormalised([1, 2, 6, 0, 0, -0.5], 3, 0);
    const expected = [-2 / Math.sqrt(7), -1 / Math.sqrt(7), 3 / Math.sqrt(7), Math.sqrt(12) / 6, Math.sqrt(12) / 6];
    for (const [index, value] of expected.entries()) expect(values[index]).toBeCloseTo(value, 14);
    expect(values[5]).toBeCloseTo(-Math.sqrt(12) / 3, 14);
    expect(zeroVarianceGroups).toBe(0);
  });

  it('adds epsilon to the deviation, not to the variance', () => {
    // Rewards 0 and 2: mean 1, unbiased deviation sqrt(2).
    expect(groupNormalised([0, 2], 2, 0.5).values[1]).toBeCloseTo(1 / (Math.SQRT2 + 0.5), 14);
  });

  it('gives zeros for equal rewards, exactly, and counts the group', () => {
    const { values, informative, zeroVarianceGroups } = groupNormalised([0.1, 0.1, 0.1, 1, 0, 1], 3);
    expect([...values.subarray(0, 3)]).toEqual([0, 0, 0]);
    expect([...informative]).toEqual([0, 1]);
    expect(zeroVarianceGroups).toBe(1);
  });

  it('gives zeros for groups of one and counts them', () => {
    const { values, zeroVarianceGroups } = groupNormalised([3, -1], 1);
    expect([...values]).toEqual([0, 0]);
    expect(zeroVarianceGroups).toBe(2);
  });

  it('takes no rewards at all', () => {
    expect(groupNormalised([], 4).values).toHaveLength(0);
  });

  it('refuses rewards that do not divide into groups, and rewards that are not numbers', () => {
    expect(() => groupNormalised([1, 2, 3], 2)).toThrowError(/divide/);
    expect(() => groupNormalised([1, 2], 0)).toThrowError(expect.objectContaining({ code: 'ERR_GROUP_SIZE' }));
    expect(() => groupNormalised([1, Number.NaN], 2)).toThrowError(expect.objectContaining({ code: 'ERR_REWARD' }));
  });
});

describe('meanOnly', () => {
  it('subtracts the mean of the group alone', () => {
    expect([...meanOnly([1, 2, 6, 5, 5, 5], 3).values]).toEqual([-2, -1, 3, 0, 0, 0]);
    expect(meanOnly([1, 2, 6, 5, 5, 5], 3).zeroVarianceGroups).toBe(1);
  });
});

const close = (found: ArrayLike<number>, expected: readonly number[]) => {
  expect(found).toHaveLength(expected.length);
  for (const [index, value] of expected.entries()) expect(found[index]).toBeCloseTo(value, 7);
};

describe('leaveOneOut', () => {
  it('subtracts the mean of the others', () => {
    // Others of 1: (2 + 6) / 2 = 4; of 2: 3.5; of 6: 1.5.
    close(leaveOneOut([1, 2, 6, 5, 5, 5], 3).values, [-3, -1.5, 4.5, 0, 0, 0]);
  });

  it('is group size / (group size - 1) times the mean baseline', () => {
    const rewards = [0.3, -1, 2, 0.7];
    close(
      leaveOneOut(rewards, 4).values,
      Array.from(meanOnly(rewards, 4).values, (value) => (value * 4) / 3),
    );
  });
});

describe('batchNormalised', () => {
  it('is the z-score over the batch, for groups of any size', () => {
    // Mean 1, squared deviations 1 + 1 + 1 + 9 = 12, unbiased variance 4.
    const { values, informative, zeroVarianceGroups } = batchNormalised([0, 0, 0, 4], 2);
    close(values, [-0.5, -0.5, -0.5, 1.5]);
    expect([...informative]).toEqual([1, 1]);
    expect(zeroVarianceGroups).toBe(1);
    close(batchNormalised([0, 0, 0, 4], 1).values, [-0.5, -0.5, -0.5, 1.5]);
  });

  it('gives zeros without signal where the whole batch is equal, or there is one completion', () => {
    const { values, informative, zeroVarianceGroups } = batchNormalised([0.1, 0.1, 0.1, 0.1], 2);
    expect([...values, ...informative, zeroVarianceGroups]).toEqual([0, 0, 0, 0, 0, 0, 2]);
    expect([...batchNormalised([3], 1).values]).toEqual([0]);
  });

  it('counts a group at the mean of the batch as one without signal', () => {
    expect([...batchNormalised([0, 2, 1, 1], 2).informative]).toEqual([1, 0]);
  });
});

describe('groupMeanBatchNormalised', () => {
  it('takes the mean of the group and the deviation of the batch', () => {
    // Centred: -1, 1, -3, 3; unbiased variance 20 / 3.
    const scale = Math.sqrt(20 / 3);
    close(groupMeanBatchNormalised([0, 2, 0, 6], 2).values, [-1 / scale, 1 / scale, -3 / scale, 3 / scale]);
    expect([...groupMeanBatchNormalised([0, 2, 5, 5], 2).informative]).toEqual([1, 0]);
  });
});

describe('generalisedAdvantage', () => {
  it('is the formula, by hand', () => {
    // delta: 0 + 0.5 * 2 - 1 = 0; 0 + 0.5 * 3 - 2 = -0.5; 4 - 3 = 1. A: 1; -0.5 + 0.25 = -0.25; 0 - 0.0625.
    const { values, returns } = generalisedAdvantage([0, 0, 4], [1, 2, 3], { discount: 0.5, lambda: 0.5 });
    expect([...values]).toEqual([-0.0625, -0.25, 1]);
    expect([...returns]).toEqual([0.9375, 1.75, 4]);
  });

  it('is reward - value with discount = lambda = 1, and the reward to go without values', () => {
    const settings = { discount: 1, lambda: 1 };
    expect([...generalisedAdvantage([0, 0, 4], [1, 2, 3], settings).values]).toEqual([3, 2, 1]);
    expect([...generalisedAdvantage([1, -2, 4], [0, 0, 0], settings).values]).toEqual([3, 2, 4]);
  });

  it('refuses arrays of different lengths', () => {
    expect(() => generalisedAdvantage([1], [1, 2], { discount: 1, lambda: 1 })).toThrowError(
      expect.objectContaining({ code: 'ERR_SHAPE' }),
    );
  });
});

it('every estimator counts a group of equal rewards, and all but that of the batch give it zeros', () => {
  for (const [name, advantages] of Object.entries(kAdvantages)) {
    const { values, informative, zeroVarianceGroups } = advantages([0.1, 0.1, 0.1, 1, 0, 1], 3);
    expect(zeroVarianceGroups, name).toBe(1);
    expect([...informative], name).toEqual(name === 'batch' ? [1, 1] : [0, 1]);
    if (name !== 'batch') expect([...values.subarray(0, 3)], name).toEqual([0, 0, 0]);
    const bad = name === 'batch' ? [1, Number.NaN] : [1, Number.POSITIVE_INFINITY];
    expect(() => advantages(bad, 2)).toThrowError(expect.objectContaining({ code: 'ERR_REWARD' }));
    expect(() => advantages([1, 2, 3], 2)).toThrowError(expect.objectContaining({ code: 'ERR_GROUP_SIZE' }));
    expect(advantages([], 2).values).toHaveLength(0);
  }
});
