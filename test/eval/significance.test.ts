import { describe, expect, it } from 'vitest';
import { logGamma, regularisedBeta, twoSidedT } from '../../lib/eval/beta.js';
import { bootstrapTest, holm, pairedTTest, randomisationTest } from '../../lib/eval/significance.js';
import { RandomStream } from '../../lib/random.js';

const after = [0.5, 0.61, 0.72, 0.4, 0.9, 0.33, 0.81, 0.56, 0.29, 0.77];
const before = [0.45, 0.6, 0.7, 0.45, 0.8, 0.3, 0.85, 0.5, 0.2, 0.7];

const relative = (value: number, expected: number): number => Math.abs(value / expected - 1);

/** Values of mpmath with 40 digits. */
describe('incomplete beta', () => {
  it.each([
    [1, 1, 0.5],
    [2.5, 9, 0.0338618276829857],
    [1.96, 42, 0.0566527785668307],
    [10, 52, 1.03952823199441e-13],
    [0.001, 1000, 0.999202315018453],
    [40, 99, 6.38508516028723e-63],
    [3.1, 100_000, 0.00193574371262256],
  ])('gives the two-sided tail of t = %d with %d degrees', (t, degrees, expected) => {
    expect(relative(twoSidedT(t, degrees), expected)).toBeLessThan(1e-9);
    expect(twoSidedT(-t, degrees)).toBe(twoSidedT(t, degrees));
  });

  it.each([
    [0.5, 2, 3, 0.6875],
    [0.2, 0.5, 0.5, 0.295167235300867],
    [0.999, 10, 0.5, 0.88889670912486],
    [1e-8, 5, 0.5, 2.46093751025391e-41],
    [0.3, 200, 300, 1.04969852432929e-6],
  ])('I_%d(%d, %d)', (x, a, b, expected) => {
    expect(relative(regularisedBeta(x, a, b), expected)).toBeLessThan(1e-11);
    expect(regularisedBeta(x, a, b) + regularisedBeta(1 - x, b, a)).toBeCloseTo(1, 12);
  });

  it('takes the ends', () => {
    expect([regularisedBeta(0, 2, 3), regularisedBeta(1, 2, 3), twoSidedT(0, 5)]).toEqual([0, 1, 1]);
    expect(twoSidedT(Number.POSITIVE_INFINITY, 5)).toBe(0);
    expect(logGamma(0.25)).toBeCloseTo(1.28802252469808, 13);
    expect(logGamma(100.5)).toBeCloseTo(361.435540467778, 10);
  });
});

describe('paired tests', () => {
  it('match values of mpmath', () => {
    expect(pairedTTest(after, before)).toBeCloseTo(0.0625275379375397, 12);
    // 76 of the 1024 sign changes, counted with exact decimals.
    expect(randomisationTest(after, before)).toBe(76 / 1024);
  });

  it('are two-sided', () => {
    expect(pairedTTest(before, after)).toBeCloseTo(pairedTTest(after, before), 14);
    expect(randomisationTest(before, after)).toBe(76 / 1024);
  });

  it('agree on many queries, where all three estimate the same', () => {
    const random = new RandomStream(7, 'queries');
    const first = Array.from({ length: 60 }, () => random.uniform());
    const second = first.map((value) => value + 0.06 * random.normal() + 0.015);
    const t = pairedTTest(second, first);
    expect(t).toBeGreaterThan(0.005);
    expect(t).toBeLessThan(0.5);
    expect(Math.abs(randomisationTest(second, first) - t)).toBeLessThan(0.02);
    expect(Math.abs(bootstrapTest(second, first) - t)).toBeLessThan(0.03);
  });

  it('reject true hypotheses about as often as they say', () => {
    const rejected = { t: 0, randomisation: 0, bootstrap: 0 };
    const trials = 200;
    for (let trial = 0; trial < trials; trial++) {
      const random = new RandomStream(3, 'null', trial);
      const first = Array.from({ length: 25 }, () => random.normal());
      const second = Array.from({ length: 25 }, () => random.normal());
      if (pairedTTest(second, first) < 0.1) rejected.t++;
      if (randomisationTest(second, first, { resamples: 400, seed: trial }) < 0.1) rejected.randomisation++;
      if (bootstrapTest(second, first, { resamples: 400, seed: trial }) < 0.1) rejected.bootstrap++;
    }
    // Binomial(200, 0.1): mean 20, standard deviation 4.2.
    for (const count of Object.values(rejected)) {
      expect(count).toBeGreaterThan(5);
      expect(count).toBeLessThan(36);
    }
  });

  it('are seeded', () => {
    const random = new RandomStream(1, 'seeded');
    const first = Array.from({ length: 30 }, () => random.uniform());
    const second = Array.from({ length: 30 }, () => random.uniform());
    for (const test of [randomisationTest, bootstrapTest]) {
      const of = (seed: number) => test(second, first, { seed, resamples: 1000 });
      expect(of(1)).toBe(of(1));
      expect(new Set([of(1), of(2), of(3), of(4)]).size).toBeGreaterThan(1);
    }
  });

  it('take equal systems, constant gains and one differing query', () => {
    const equal = [0.1, 0.2, 0.3];
    for (const test of [pairedTTest, randomisationTest, bootstrapTest]) expect(test(equal, equal)).toBe(1);
    const better = equal.map((value) => value + 0.5);
    expect(pairedTTest(better, equal)).toBe(0);
    expect(randomisationTest(better, equal)).toBe(2 / 8);
    expect(randomisationTest([1, 0.2, 0.3], equal)).toBe(1);
  });

  it('refuse what cannot be tested', () => {
    for (const run of [
      () => pairedTTest([1], [1]),
      () => pairedTTest([1, 2], [1]),
      () => randomisationTest([1, Number.NaN], [1, 2]),
      () => bootstrapTest([1, 2], [1, 3], { resamples: 0 }),
    ]) {
      expect(run).toThrow(expect.objectContaining({ code: 'ERR_MEASURE' }));
    }
  });
});

describe('Holm', () => {
  it('multiplies the smallest by their number, the next by one less, and never decreases', () => {
    // By hand: sorted 0.005, 0.01, 0.03, 0.04 x 4, 3, 2, 1 = 0.02, 0.03, 0.06, 0.04 -> 0.06.
    expect(holm([0.01, 0.04, 0.03, 0.005])).toEqual([0.03, 0.06, 0.06, 0.02]);
    expect(holm([0.9, 0.8])).toEqual([1, 1]);
    expect([holm([]), holm([0.2])]).toEqual([[], [0.2]]);
    expect(() => holm([1.5])).toThrow(expect.objectContaining({ code: 'ERR_MEASURE' }));
  });
});
