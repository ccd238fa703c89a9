import { describe, expect, it } from 'vitest';
import { groupNormalised, meanOnly } from '../../lib/train/advantage.js';

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
