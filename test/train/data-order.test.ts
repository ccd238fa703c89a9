import { expect, it } from 'vitest';
import { DataOrder } from '../../lib/train/data-order.js';

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
