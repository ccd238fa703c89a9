import { describe, expect, it } from 'vitest';
import { type PolicyTerm, policyGradient, truncatedImportance } from '../../lib/train/policy-gradient.js';
import { miniBatches } from '../../lib/train/policy-update.js';
import { ReplayBuffer } from '../../lib/train/replay.js';

const log = Math.log;
const term = (change: Partial<PolicyTerm> = {}): PolicyTerm => ({
  tokens: Int32Array.from([9, 1, 2]),
  start: 1,
  weight: 0.25,
  advantage: 2,
  sampledLogprob: Float32Array.from([-1, -1]),
  oldLogprob: [log(0.5), log(0.5)],
  age: 0,
  ...change,
});
const config = { loss: 'clip', clipLow: 0.2, clipHigh: 0.2, dualClip: undefined, kl: undefined } as const;

describe('policyGradient', () => {
  it('hands the engine the weight and minus the derivative of each completion token', () => {
    const { weight, advantage, sums } = policyGradient([term()], [[log(0.5), log(0.8)]], config);
    expect(weight.map((row) => [...row])).toEqual([[0, 0.25, 0.25]]);
    // Ratio 1: derivative -2; ratio 1.6 is clipped to 1.2: derivative 0.
    expect(advantage.map((row) => [...row].map((value) => value + 0))).toEqual([[0, 2, 0]]);
    expect(sums.policyLoss).toBeCloseTo(0.25 * (-2 - 2.4), 14);
    expect(sums).toMatchObject({ weight: 0.5, tokens: 2, clippedHigh: 1, clippedLow: 0, kl: 0 });
  });

  it('adds the KL term with the sign that punishes divergence', () => {
    const kl = { coefficient: 0.5, estimator: 'k3', place: 'loss', corrected: false } as const;
    const terms = [term({ advantage: 0, referenceLogprob: [log(0.25), log(0.5)] })];
    const { advantage, sums } = policyGradient(terms, [[log(0.5), log(0.5)]], { ...config, kl });
    // d = log(1/2): derivative 0.5 (1 - 1/2) = 0.25 on the first token, which the policy makes likelier than the reference.
    expect(advantage[0]?.[1]).toBeCloseTo(-0.25, 7);
    expect(advantage[0]?.[2]).toBeCloseTo(0, 14);
    expect(sums.kl).toBeCloseTo(0.25 * (0.5 + log(2) - 1), 14);
  });

  it('leaves the loss alone when the KL term is in the reward', () => {
    const kl = { coefficient: 0.5, estimator: 'k3', place: 'reward', corrected: false } as const;
    const terms = [term({ referenceLogprob: [log(0.25), log(0.25)] })];
    const { advantage } = policyGradient(terms, [[log(0.5), log(0.5)]], { ...config, kl });
    expect(advantage[0]?.[1]).toBe(2);
  });

  it('weighs replayed tokens by how much likelier they have become, up to the truncation', () => {
    const importance = truncatedImportance([log(0.5), log(0.5)], [log(0.4), log(0.1)], 2);
    expect(importance[0]).toBeCloseTo(1.25, 14);
    expect(importance[1]).toBe(2);
    const { advantage, sums } = policyGradient([term({ importance, age: 1 })], [[log(0.5), log(0.5)]], config);
    expect(advantage[0]?.[1]).toBeCloseTo(2.5, 6);
    expect(advantage[0]?.[2]).toBe(4);
    expect(sums.policyLoss).toBeCloseTo(-0.25 * (2.5 + 4), 14);
  });

  it('takes the default bounds of the loss where none are given', () => {
    const open = { ...config, clipLow: undefined, clipHigh: undefined };
    const logprobs = [[log(0.5) + 0.001, log(0.5) + 0.001]];
    expect(policyGradient([term()], logprobs, open).sums.clippedHigh).toBe(0);
    expect(policyGradient([term()], logprobs, { ...open, loss: 'gspo' }).sums.clippedHigh).toBe(2);
    expect(policyGradient([term()], logprobs, { ...open, loss: 'cispo' }).sums.clippedHigh).toBe(0);
  });
});

const group = (token: number, informative = true, age = 0) => ({
  prompt: Int32Array.from([token]),
  completions: [
    {
      tokens: Int32Array.from([token, 1]),
      logprobs: Float32Array.from([-0.1, -0.2]),
      truncated: false,
      advantage: 1 / 3,
    },
  ],
  informative,
  age,
});

describe('replay', () => {
  const settings = { groups: 2, maxAge: 2, seed: 7, stageKey: 'stage-0' };

  it('gives back groups with signal, with their age, until they are too old', () => {
    const buffer = new ReplayBuffer(settings);
    expect(buffer.draw(0)).toEqual([]);
    buffer.add([group(1), group(2, false)], 0);
    expect(buffer.draw(1)).toEqual([group(1, true, 1)]);
    buffer.add([group(3), group(1, true, 1)], 1);
    expect(new Set(buffer.draw(2).map(({ prompt, age }) => `${prompt[0]} ${age}`))).toEqual(new Set(['1 2', '3 1']));
    buffer.add([], 2);
    expect(buffer.draw(3).map(({ prompt, age }) => [prompt[0], age])).toEqual([[3, 2]]);
  });

  it('goes on from its state as if it had never stopped', () => {
    const buffer = new ReplayBuffer(settings);
    buffer.add(
      [1, 2, 3, 4, 5].map((token) => group(token)),
      0,
    );
    const again = new ReplayBuffer(settings, JSON.parse(JSON.stringify(buffer.state())));
    expect(again.draw(1)).toEqual(buffer.draw(1));
    expect(again.state()).toEqual(buffer.state());
    const other = new ReplayBuffer({ ...settings, seed: 8 }, buffer.state());
    const drawn = [1, 2, 3, 4].map((step) => [other.draw(step), buffer.draw(step)]);
    expect(drawn.some(([a, b]) => JSON.stringify(a) !== JSON.stringify(b))).toBe(true);
  });

  it('refuses a state of another kind', () => {
    expect(() => new ReplayBuffer(settings, { version: 2 })).toThrowError(
      expect.objectContaining({ code: 'ERR_CHECKPOINT' }),
    );
  });
});

it('mini-batches are consecutive, and replayed groups are spread over them', () => {
  const groups = [group(1), group(2), group(3), group(4), group(5, true, 1), group(6, true, 2), group(7, true, 2)];
  const parts = miniBatches(groups, { prompts: 4, miniBatch: 2 });
  expect(parts.map((part) => part.map(({ prompt }) => prompt[0]))).toEqual([
    [1, 2, 5],
    [3, 4, 6, 7],
  ]);
  expect(miniBatches(groups, { prompts: 4, miniBatch: undefined })).toHaveLength(1);
});
