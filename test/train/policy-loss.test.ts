import { describe, expect, it } from 'vitest';
import { RandomStream } from '../../lib/random.js';
import { correctedDivergence, divergence } from '../../lib/train/divergence.js';
import { kPolicyLosses, type PolicyLossName } from '../../lib/train/policy-loss.js';
import { divergencePenalty, overlongPenalty } from '../../lib/train/reward-shaping.js';

const log = Math.log;
const sum = (values: ArrayLike<number>) => Array.from(values).reduce((total, value) => total + value, 0);
const close = (found: ArrayLike<number>, expected: readonly number[]) => {
  expect(found).toHaveLength(expected.length);
  for (const [index, value] of expected.entries()) expect(found[index]).toBeCloseTo(value, 12);
};

/** Central differences of `value` by each entry of `at`. */
function differences(value: (at: readonly number[]) => number, at: readonly number[], step = 1e-6): number[] {
  return at.map((_, index) => {
    const moved = (by: number) => value(at.map((entry, other) => (other === index ? entry + by : entry)));
    return (moved(step) - moved(-step)) / (2 * step);
  });
}

describe('clip', () => {
  const bounds = { low: 0.2, high: 0.3 };
  const old = [0, 0, 0, 0, 0].map(() => log(0.2));
  const ratios = [1, 1.5, 1.5, 0.5, 0.5];
  const logprob = ratios.map((ratio) => log(0.2 * ratio));

  it('is the clipped surrogate, by hand', () => {
    const loss = kPolicyLosses.clip(logprob, old, [2, 2, -2, 2, -2], bounds);
    // -min(2, 2); -min(3, 1.3 * 2); -min(-3, -2.6); -min(1, 1.6); -min(-1, -1.6).
    close(loss.value, [-2, -2.6, 3, -1, 1.6]);
    close(loss.derivative, [-2, 0, 3, -1, 0]);
    expect([loss.clippedLow, loss.clippedHigh]).toEqual([1, 1]);
  });

  it('with dual clip is bounded where the advantage is negative', () => {
    const far = [log(0.2 * 5)];
    close(kPolicyLosses.clip(far, old, [-2], bounds).value, [10]);
    const dual = kPolicyLosses.clip(far, old, [-2], { ...bounds, dual: 3 });
    close(dual.value, [6]);
    close(dual.derivative, [0]);
    expect(dual.clippedHigh).toBe(1);
    close(kPolicyLosses.clip(far, old, [2], { ...bounds, dual: 3 }).value, [-2.6]);
    close(kPolicyLosses.clip(logprob, old, [2, 2, -2, 2, -2], { ...bounds, dual: 3 }).value, [-2, -2.6, 3, -1, 1.6]);
  });

  it('at ratio 1 has the derivative -A exactly', () => {
    expect([...kPolicyLosses.clip(old, old, [0.3, -0.7, 0, 1, 2], bounds).derivative]).toEqual([-0.3, 0.7, -0, -1, -2]);
  });
});

describe('gspo', () => {
  it('has the ratio of the sequence on every token', () => {
    // Ratios 4 and 1: s = exp(mean of log) = 2.
    const old = [log(0.1), log(0.5)];
    const logprob = [log(0.4), log(0.5)];
    const free = kPolicyLosses.gspo(logprob, old, [-3, -3], { low: 0.2, high: 0.2 });
    close(free.value, [6, 6]);
    close(free.derivative, [6, 6]);
    const clipped = kPolicyLosses.gspo(logprob, old, [3, 3], { low: 0.2, high: 0.2 });
    close(clipped.value, [-3.6, -3.6]);
    close(clipped.derivative, [0, 0]);
    expect(clipped.clippedHigh).toBe(2);
  });
});

describe('cispo', () => {
  it('weighs -A logprob with the bounded ratio, and silences no token', () => {
    const old = [log(0.1), log(0.1), log(0.1)];
    const logprob = [log(0.1), log(0.8), log(0.01)];
    const loss = kPolicyLosses.cispo(logprob, old, [2, 2, 2], { low: 0.5, high: 4 });
    close(loss.derivative, [-2, -10, -1]);
    close(loss.value, [-2 * log(0.1), -10 * log(0.8), -log(0.01)]);
    expect([loss.clippedLow, loss.clippedHigh]).toEqual([1, 1]);
  });
});

describe('derivatives are those of finite differences', () => {
  const random = new RandomStream(1, 'policy-loss');
  const draw = (count: number, scale: number) => Array.from({ length: count }, () => scale * random.normal());
  for (const name of ['clip', 'gspo', 'cispo'] as const satisfies readonly PolicyLossName[]) {
    it(name, () => {
      for (let round = 0; round < 50; round++) {
        const old = draw(6, 1);
        const logprob = old.map((value) => value + 0.5 * random.normal());
        const advantage = new Array<number>(6).fill(random.normal());
        const bounds = { low: 0.3, high: 0.4, ...(name === 'clip' ? { dual: 1.8 } : {}) };
        const { derivative } = kPolicyLosses[name](logprob, old, advantage, bounds);
        // CISPO's weight has no gradient of its own: it stays as it is while logprob moves.
        const weights = logprob.map((value, i) => Math.min(Math.max(Math.exp(value - (old[i] as number)), 0.7), 1.4));
        const value = (at: readonly number[]) =>
          name === 'cispo'
            ? sum(at.map((entry, i) => -(weights[i] as number) * (advantage[i] as number) * entry))
            : sum(kPolicyLosses[name](at, old, advantage, bounds).value);
        const expected = differences(value, logprob);
        for (const [i, found] of derivative.entries()) expect(found).toBeCloseTo(expected[i] as number, 6);
      }
    });
  }

  for (const estimator of ['k1', 'k2', 'k3'] as const) {
    it(`${estimator}, plain and corrected`, () => {
      const [logprob, reference, old] = [draw(8, 1), draw(8, 1), draw(8, 1)];
      const plain = differences((at) => sum(divergence(estimator, at, reference).value), logprob);
      const corrected = differences((at) => sum(correctedDivergence(estimator, at, reference, old).value), logprob);
      for (let i = 0; i < 8; i++) {
        expect(divergence(estimator, logprob, reference).derivative[i]).toBeCloseTo(plain[i] as number, 6);
        expect(correctedDivergence(estimator, logprob, reference, old).derivative[i]).toBeCloseTo(
          corrected[i] as number,
          6,
        );
      }
    });
  }
});

describe('divergence', () => {
  it('is k1, k2, k3, by hand', () => {
    const [logprob, reference] = [[log(0.5)], [log(0.25)]];
    close(divergence('k1', logprob, reference).value, [log(2)]);
    close(divergence('k2', logprob, reference).value, [log(2) ** 2 / 2]);
    close(divergence('k3', logprob, reference).value, [0.5 + log(2) - 1]);
  });

  // Exact sums over a distribution of three tokens, whose logits are what is trained.
  const softmax = (logits: readonly number[]) => {
    const total = sum(logits.map(Math.exp));
    return logits.map((value) => Math.exp(value) / total);
  };
  const logits = [0.3, -0.5, 1];
  const [policy, reference] = [softmax(logits), softmax([1, 0, -1])];
  const kl = (p: readonly number[], q: readonly number[]) => sum(p.map((value, i) => value * log(value / (q[i] ?? 0))));
  /** sum over tokens of p f(token) d log p(token) / d logits: the mean of a gradient over samples. */
  const meanGradient = (derivative: (token: number) => number) =>
    logits.map((_, j) =>
      sum(policy.map((p, token) => p * derivative(token) * ((token === j ? 1 : 0) - (policy[j] as number)))),
    );
  const derivativeOf = (estimator: 'k1' | 'k2' | 'k3', corrected: boolean) => (token: number) => {
    const [at, to] = [[log(policy[token] as number)], [log(reference[token] as number)]];
    const { derivative } = corrected ? correctedDivergence(estimator, at, to, at) : divergence(estimator, at, to);
    return derivative[0] as number;
  };
  const forward = differences((at) => kl(softmax(at), reference), logits);
  const reverse = differences((at) => kl(reference, softmax(at)), logits);

  it('in the mean has the gradients that its description claims', () => {
    const near = (found: readonly number[], expected: readonly number[]) => {
      for (const [i, value] of found.entries()) expect(value).toBeCloseTo(expected[i] as number, 8);
    };
    near(meanGradient(derivativeOf('k1', false)), [0, 0, 0]);
    near(meanGradient(derivativeOf('k2', false)), forward);
    near(meanGradient(derivativeOf('k3', false)), reverse);
    near(meanGradient(derivativeOf('k1', true)), forward);
    near(meanGradient(derivativeOf('k3', true)), forward);
  });
});

describe('shaping of rewards', () => {
  it('takes the overlong penalty from the last tokens before the limit', () => {
    const shape = { buffer: 4, penalty: 1 };
    expect([3, 6, 7, 8, 10, 12].map((length) => overlongPenalty(length, 10, shape) + 0)).toEqual([
      0, 0, -0.25, -0.5, -1, -1,
    ]);
    expect(overlongPenalty(8, 10, { buffer: 4, penalty: 2 })).toBe(-1);
  });

  it('takes the divergence of a whole completion, summed over its tokens', () => {
    const settings = { coefficient: 0.1, estimator: 'k1' } as const;
    expect(divergencePenalty([-1, -2], [-3, -2.5], settings)).toBeCloseTo(-0.1 * (2 + 0.5), 14);
  });
});
