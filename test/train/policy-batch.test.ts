import { expect, it } from 'vitest';
import { policyBatch, type TrainGroup } from '../../lib/train/policy-batch.js';

const completion = (tokens: number[], advantage: number, truncated = false) => ({
  tokens: Int32Array.from(tokens),
  logprobs: Float32Array.from(tokens, (token) => -token / 8),
  truncated,
  advantage,
});

// Two prompts, groups of two; the second group has equal rewards.
const groups: readonly TrainGroup[] = [
  {
    prompt: Int32Array.from([90, 91]),
    completions: [completion([1, 2], 1), completion([3, 4, 5, 6], -1)],
    informative: true,
    age: 0,
  },
  { prompt: Int32Array.from([92]), completions: [completion([7], 0), completion([8], 0)], informative: false, age: 0 },
];
const options = { normaliser: 'token', maxTokens: 8, maskTruncated: false, keepAll: false } as const;

it('lays prompt and completion end to end, with one weight, advantage and log-probabilities for the completion', () => {
  const batch = policyBatch(groups, options);
  expect(batch.map(({ tokens }) => [...tokens])).toEqual([
    [90, 91, 1, 2],
    [90, 91, 3, 4, 5, 6],
  ]);
  // Eight completion tokens in the batch, those of the group without signal included.
  expect(batch.map(({ weight }) => weight)).toEqual([0.125, 0.125]);
  expect(batch.map(({ advantage }) => advantage)).toEqual([1, -1]);
  expect(batch.map(({ start, age }) => [start, age])).toEqual([
    [2, 0],
    [2, 0],
  ]);
  expect([...(batch[0]?.sampledLogprob ?? [])]).toEqual([-0.125, -0.25]);
});

it('leaves the weights of the others as they are when a group is dropped', () => {
  const kept = policyBatch(groups, { ...options, keepAll: true });
  const dropped = policyBatch(groups, options);
  expect(kept).toHaveLength(4);
  expect(kept.slice(0, 2)).toEqual(dropped);
  expect(kept[2]?.advantage).toBe(0);
});

it('leaves truncated completions out when they are masked, and out of the count of tokens', () => {
  const first = groups[0] as TrainGroup;
  const cut = { ...first, completions: [completion([1, 2], 1, true), ...first.completions.slice(1)] };
  const batch = policyBatch([cut, groups[1] as TrainGroup], { ...options, maskTruncated: true });
  expect(batch.map(({ tokens }) => [...tokens])).toEqual([[90, 91, 3, 4, 5, 6]]);
  expect(batch[0]?.weight).toBeCloseTo(1 / 6, 14);
});

it('is empty when no group has a signal', () => {
  expect(policyBatch([groups[1] as TrainGroup], options)).toEqual([]);
});
