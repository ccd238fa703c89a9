import { expect, it } from 'vitest';
import { tokenWeights } from '../../lib/train/normaliser.js';

const completions = [
  { length: 2, active: true },
  { length: 6, active: true },
  { length: 8, active: false },
  { length: 0, active: true },
];

it('weighs by token over the active tokens of the batch', () => {
  expect([...tokenWeights(completions, 'token', 8)]).toEqual([1 / 8, 1 / 8, 0, 0]);
});

it('weighs by sequence: the mean of sequence means, masked sequences counting in the batch', () => {
  expect([...tokenWeights(completions, 'sequence', 8)]).toEqual([1 / 8, 1 / 24, 0, 0]);
});

it('weighs by the Dr. GRPO constant, whatever the lengths', () => {
  expect([...tokenWeights(completions, 'constant', 8)]).toEqual([1 / 32, 1 / 32, 0, 0]);
});

it('gives zeros when every completion is masked', () => {
  expect([...tokenWeights([{ length: 3, active: false }], 'token', 8)]).toEqual([0]);
});
