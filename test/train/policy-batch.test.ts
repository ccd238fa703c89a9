import { expect, it } from 'vitest';
import { groupNormalised, meanOnly } from '../../lib/train/advantage.js';
import { policyBatch } from '../../lib/train/policy-batch.js';

const completion = (tokens: number[], truncated = false) => ({
  tokens: Int32Array.from(tokens),
  logprobs: Float32Array.from(tokens, (token) => -token / 8),
  truncated,
});

// Two prompts, groups of two; the second group has equal rewards.
const sampled = {
  prompts: [Int32Array.from([90, 91]), Int32Array.from([92])],
  groupSize: 2,
  completions: [completion([1, 2]), completion([3, 4, 5, 6]), completion([7]), completion([8])],
};
const options = { normaliser: 'token', maxTokens: 8, maskTruncated: false, keepAll: false } as const;

it('lays prompt and completion end to end, with weight, advantage and log-probability on the completion alone', () => {
  const batch = policyBatch(sampled, meanOnly([3, 1, 2, 2], 2), options);
  expect(batch.sequences.map((tokens) => [...tokens])).toEqual([
    [90, 91, 1, 2],
    [90, 91, 3, 4, 5, 6],
  ]);
  // Eight completion tokens in the batch, those of the group without signal included.
  expect(batch.weight.map((row) => [...row])).toEqual([
    [0, 0, 0.125, 0.125],
    [0, 0, 0.125, 0.125, 0.125, 0.125],
  ]);
  expect(batch.advantage.map((row) => [...row])).toEqual([
    [0, 0, 1, 1],
    [0, 0, -1, -1, -1, -1],
  ]);
  expect([...(batch.oldLogprob[0] as Float32Array)]).toEqual([0, 0, -0.125, -0.25]);
  expect(batch.totalWeight).toBe(0.75);
});

it('leaves the weights of the others as they are when a group is dropped', () => {
  const advantages = groupNormalised([3, 1, 2, 2], 2);
  const kept = policyBatch(sampled, advantages, { ...options, keepAll: true });
  const dropped = policyBatch(sampled, advantages, options);
  expect(kept.sequences).toHaveLength(4);
  expect(kept.weight.slice(0, 2)).toEqual(dropped.weight);
  expect(kept.advantage[2]).toEqual(Float32Array.from([0, 0]));
});

it('leaves truncated completions out when they are masked, and out of the count of tokens', () => {
  const cut = { ...sampled, completions: [completion([1, 2], true), ...sampled.completions.slice(1)] };
  const batch = policyBatch(cut, meanOnly([3, 1, 2, 2], 2), { ...options, maskTruncated: true });
  expect(batch.sequences.map((tokens) => [...tokens])).toEqual([[90, 91, 3, 4, 5, 6]]);
  expect(batch.weight[0]?.[2]).toBeCloseTo(1 / 6, 7);
});

it('is empty when no group has a signal', () => {
  expect(policyBatch(sampled, meanOnly([1, 1, 2, 2], 2), options)).toMatchObject({ sequences: [], totalWeight: 0 });
});
