import { expect, it } from 'vitest';
import { learningRate, type Schedule } from '../../lib/train/schedule.js';

const base: Schedule = { kind: 'constant', peak: 8, warmupSteps: 4, steps: 12, floor: 0 };
const rates = (schedule: Schedule) => [1, 3, 4, 6, 8, 12].map((step) => learningRate(schedule, step));

it('warms up linearly and then stays', () => {
  expect(rates(base)).toEqual([2, 6, 8, 8, 8, 8]);
});

it('falls linearly to the floor at the last step', () => {
  expect(rates({ ...base, kind: 'linear' })).toEqual([2, 6, 8, 6, 4, 0]);
  expect(learningRate({ ...base, kind: 'linear', floor: 0.25 }, 12)).toBe(2);
});

it('falls along half a cosine', () => {
  const cosine = rates({ ...base, kind: 'cosine' });
  expect(cosine[3]).toBeCloseTo(8 * (0.5 + Math.SQRT2 / 4), 12);
  expect(cosine[4]).toBeCloseTo(4, 12);
  expect(cosine[5]).toBeCloseTo(0, 12);
});

it('starts at the peak without warm-up and holds its last rate past the end', () => {
  expect(learningRate({ ...base, warmupSteps: 0 }, 1)).toBe(8);
  expect(learningRate({ ...base, kind: 'linear' }, 99)).toBe(0);
});

it('stays at the peak until the last steps and falls linearly in those (wsd)', () => {
  const wsd = { ...base, kind: 'wsd', decaySteps: 4 } as const;
  expect([3, 4, 8, 9, 10, 12].map((step) => learningRate(wsd, step))).toEqual([6, 8, 8, 6, 4, 0]);
  expect(learningRate({ ...wsd, floor: 0.5 }, 10)).toBe(6);
  expect(learningRate(wsd, 99)).toBe(0);
});

it('lets wsd fall in a tenth of the steps, rounded up, where nothing is said', () => {
  const wsd = { ...base, kind: 'wsd', steps: 21 } as const;
  expect([17, 18, 19, 20, 21].map((step) => learningRate(wsd, step))).toEqual([
    8,
    8,
    8 * (1 - 1 / 3),
    8 * (1 - 2 / 3),
    0,
  ]);
});

it('does not divide by zero when warm-up fills the stage', () => {
  expect(learningRate({ ...base, kind: 'cosine', warmupSteps: 12 }, 12)).toBe(8);
});
