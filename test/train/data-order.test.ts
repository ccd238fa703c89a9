import { expect, it } from 'vitest';
import { DataOrder, MixedOrder } from '../../lib/train/data-order.js';

it('visits every example once per epoch, in an order that changes from epoch to epoch', () => {
  const order = new DataOrder(50, 7, 'sft');
  const first = order.slice(0, 50);
  const second = order.slice(50, 50);
  expect(first.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  expect(second.toSorted((a, b) => a - b)).toEqual(first.toSorted((a, b) => a - b));
  expect(second).not.toEqual(first);
});

it('depends on seed, name and position alone', () => {
  const straight = new DataOrder(10, 7, 'sft').slice(0, 35);
  const resumed = new DataOrder(10, 7, 'sft');
  expect(resumed.slice(17, 18)).toEqual(straight.slice(17));
  expect(resumed.slice(3, 4)).toEqual(straight.slice(3, 7));
  expect(new DataOrder(10, 8, 'sft').slice(0, 35)).not.toEqual(straight);
  expect(new DataOrder(10, 7, 'grpo').slice(0, 35)).not.toEqual(straight);
});

it('refuses an empty set', () => {
  expect(() => new DataOrder(0, 1, 'sft')).toThrowError(expect.objectContaining({ code: 'ERR_DATA_EMPTY' }));
});

const parts = [
  { name: 'large', size: 40, weight: 1 },
  { name: 'small', size: 5, weight: 3 },
];

it('a mixture draws from each source by weight, and visits all of it once per epoch', () => {
  const order = new MixedOrder(parts, 7, 'grpo');
  const visits = Array.from({ length: 4000 }, (_, position) => order.at(position));
  const small = visits.filter((example) => example >= 40);
  // Three in four; the standard deviation of the share is 0.007.
  expect(Math.abs(small.length / 4000 - 0.75)).toBeLessThan(0.03);
  for (let epoch = 0; epoch < 20; epoch++) {
    expect(small.slice(epoch * 5, epoch * 5 + 5).toSorted((a, b) => a - b)).toEqual([40, 41, 42, 43, 44]);
  }
  const large = visits.filter((example) => example < 40).slice(0, 40);
  expect(large.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i));
});

it('a mixture depends on seed, name and position alone', () => {
  const straight = new MixedOrder(parts, 7, 'grpo');
  const visits = Array.from({ length: 50 }, (_, position) => straight.at(position));
  expect(new MixedOrder(parts, 7, 'grpo').at(49)).toBe(visits[49]);
  const other = new MixedOrder(parts, 8, 'grpo');
  expect(visits.map((_, position) => other.at(position))).not.toEqual(visits);
});
