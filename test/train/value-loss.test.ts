import { describe, expect, it } from 'vitest';
import { whitened } from '../../lib/train/advantage.js';
import { criticMetrics, explainedVariance } from '../../lib/train/critic-metrics.js';
import { tokenPenalties, tokenRewards } from '../../lib/train/reward-shaping.js';
import { clippedValueLoss, valueGradient } from '../../lib/train/value-loss.js';

describe('clippedValueLoss', () => {
  // old 0, range 0.5, return 1.
  const one = (value: number, returns = 1, range: number | undefined = 0.5) => {
    const { value: loss, derivative, clipped } = clippedValueLoss([value], { old: [0], returns: [returns] }, range);
    return [loss[0], derivative[0], clipped];
  };

  it('is the squared error within the range', () => {
    expect(one(0.25)).toEqual([0.75 ** 2 / 2, -0.75, 0]);
    expect(one(0)).toEqual([0.5, -1, 0]);
  });

  it('gives nothing more for going further towards the return than the range', () => {
    // Clipped to 0.5, whose error of 0.5 is the larger one.
    expect(one(0.75)).toEqual([0.125, 0, 1]);
    expect(one(1)).toEqual([0.125, 0, 1]);
    // So far beyond the return that its own error is the larger one again.
    expect(one(2)).toEqual([0.5, 1, 0]);
  });

  it('punishes in full what went away from the return', () => {
    expect(one(-2)).toEqual([4.5, -3, 0]);
    expect(one(0.75, 0.1)[1]).toBeCloseTo(0.65, 14);
  });

  it('has no range unless told', () => {
    expect(clippedValueLoss([0.75], { old: [0], returns: [1] })).toMatchObject({ clipped: 0 });
  });

  it('has the slope of its value, on either side of every corner', () => {
    const at = (value: number) => clippedValueLoss([value], { old: [0.2], returns: [0.7] }, 0.3);
    for (const value of [-1, -0.2, 0, 0.3, 0.45, 0.55, 0.8, 0.95, 1.5]) {
      const slope = ((at(value + 1e-6).value[0] as number) - (at(value - 1e-6).value[0] as number)) / 2e-6;
      expect(at(value).derivative[0]).toBeCloseTo(slope, 5);
    }
  });
});

describe('valueGradient', () => {
  it('stands on the completion alone, up to the stop token, weighed', () => {
    const term = { tokens: Int32Array.of(7, 8, 1, 2), start: 2, weight: 0.5 };
    const target = { old: [0, 1], returns: [1, 3] };
    const { gradient, sums } = valueGradient([{ ...term, target }], [[0, 1]], { coefficient: 0.25 });
    expect(gradient.map((row) => [...row])).toEqual([[0, 0, -0.125, -0.25]]);
    expect(sums).toEqual({ loss: 0.5 * (0.5 + 2), predicted: 1, clipped: 0, tokens: 2 });
    expect(valueGradient([], [], {}).gradient).toEqual([]);
  });
});

describe('rewards of tokens', () => {
  it('are all on the last one', () => {
    expect([...tokenRewards(0.5, 3)]).toEqual([0, 0, 0.5]);
    expect([...tokenRewards(-1, 1)]).toEqual([-1]);
    expect([...tokenRewards(1, 0)]).toEqual([]);
  });

  it('less the divergence of each', () => {
    const penalties = tokenPenalties([-1, -2], [-1.5, -1], { coefficient: 0.1, estimator: 'k1' });
    expect([...penalties].map((value) => value.toFixed(12))).toEqual(['-0.050000000000', '0.100000000000']);
    expect(tokenRewards(1, 2, penalties)[1]).toBeCloseTo(1.1, 14);
    // The penalties themselves stay as they are.
    expect(penalties[1]).toBeCloseTo(0.1, 14);
  });
});

describe('whitened', () => {
  it('has mean 0 and unbiased variance 1 over the tokens of all completions together', () => {
    // Mean 3, deviations -2 -1 0 3, unbiased variance 14 / 3.
    const [first, second] = whitened([Float64Array.of(1, 2, 3), Float64Array.of(6)]) as [Float64Array, Float64Array];
    const scale = Math.sqrt(3 / 14);
    for (const [index, value] of [-2, -1, 0].entries()) expect(first[index]).toBeCloseTo(value * scale, 7);
    expect(second[0]).toBeCloseTo(3 * scale, 7);
  });

  it('leaves out what bears no loss, and is zeros without differences', () => {
    const [first, second] = whitened([Float64Array.of(1, 3), Float64Array.of(1000)], [true, false]);
    expect(first?.[1]).toBeCloseTo(1 / Math.sqrt(2), 7);
    expect(second?.[0]).toBe(0);
    expect(whitened([Float64Array.of(0.1, 0.1), Float64Array.of(0.1)]).flatMap((own) => [...own])).toEqual([0, 0, 0]);
    expect(whitened([Float64Array.of(5)])).toEqual([Float64Array.of(0)]);
    expect(whitened([Float64Array.of(5)], [false])).toEqual([Float64Array.of(0)]);
    expect(whitened([])).toEqual([]);
  });
});

describe('figures of a critic', () => {
  it('explains all, half or nothing of the variance', () => {
    expect(explainedVariance([1, 2, 3], [1, 2, 3])).toBe(1);
    expect(explainedVariance([2, 2, 2], [1, 2, 3])).toBeCloseTo(0, 4);
    // A constant error is no variance; a reversed critic is worse than none.
    expect(explainedVariance([5, 6, 7], [1, 2, 3])).toBe(1);
    expect(explainedVariance([3, 2, 1], [1, 2, 3])).toBeCloseTo(-3, 3);
    expect(explainedVariance([1], [2])).toBe(1);
  });

  it('are over the tokens that bear loss', () => {
    const rows = [Float64Array.of(1, 2), Float64Array.of(100)];
    const figures = { values: rows, returns: rows, advantages: rows };
    expect(criticMetrics({ ...figures, active: [true, false] })).toMatchObject({
      'critic/values/mean': 1.5,
      'critic/returns/max': 2,
      'critic/advantages/min': 1,
    });
    expect(criticMetrics({ ...figures, active: [false, false] })).toEqual({});
  });
});
