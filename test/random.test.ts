import { describe, expect, it } from 'vitest';
import { philox4x32, RandomStream, stableKey } from '../lib/random.js';

describe('philox4x32', () => {
  const run = (keyLow: number, keyHigh: number, counter: [number, number, number, number]): string => {
    const out = new Uint32Array(4);
    philox4x32(keyLow, keyHigh, counter, out);
    return [...out].map((word) => word.toString(16).padStart(8, '0')).join(' ');
  };

  // Known answers of the Random123 distribution (kat_vectors, philox4x32 with 10 rounds).
  it('gives the known answers', () => {
    expect(run(0, 0, [0, 0, 0, 0])).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    expect(run(0xffffffff, 0xffffffff, [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff])).toBe(
      '408f276d 41c83b0e a20bc7c6 6d5451fd',
    );
    expect(run(0xa4093822, 0x299f31d0, [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344])).toBe(
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    );
  });

  it('agrees with 64-bit integer arithmetic on many counters', () => {
    const reference = (key: bigint, counter: bigint[]): bigint[] => {
      const mask = 0xffffffffn;
      let k0 = key & mask;
      let k1 = key >> 32n;
      let c = counter;
      for (let round = 0; round < 10; round++) {
        const p0 = 0xd2511f53n * (c[0] as bigint);
        const p1 = 0xcd9e8d57n * (c[2] as bigint);
        c = [(p1 >> 32n) ^ (c[1] as bigint) ^ k0, p1 & mask, (p0 >> 32n) ^ (c[3] as bigint) ^ k1, p0 & mask];
        k0 = (k0 + 0x9e3779b9n) & mask;
        k1 = (k1 + 0xbb67ae85n) & mask;
      }
      return c;
    };
    const out = new Uint32Array(4);
    let word = 1;
    const next = (): number => {
      word = (Math.imul(word, 1664525) + 1013904223) >>> 0;
      return word;
    };
    for (let i = 0; i < 500; i++) {
      const [low, high] = [next(), next()];
      const counter: [number, number, number, number] = [next(), next(), next(), next()];
      philox4x32(low, high, counter, out);
      const expected = reference((BigInt(high) << 32n) | BigInt(low), counter.map(BigInt));
      expect([...out].map(BigInt)).toEqual(expected);
    }
  });
});

describe('RandomStream', () => {
  it('depends on seed and name alone', () => {
    const draws = (seed: number, ...parts: (string | number)[]): number[] => {
      const random = new RandomStream(seed, ...parts);
      return Array.from({ length: 9 }, () => random.bits());
    };
    expect(draws(7, 'a', 1)).toEqual(draws(7, 'a', 1));
    expect(draws(7, 'a', 1)).not.toEqual(draws(8, 'a', 1));
    expect(draws(7, 'a', 1)).not.toEqual(draws(7, 'a', 2));
    expect(draws(7, 'a', 'bc')).not.toEqual(draws(7, 'ab', 'c'));
    expect(draws(2 ** 40, 'a')).not.toEqual(draws(0, 'a'));
  });

  it('draws integers evenly', () => {
    const random = new RandomStream(3, 'even');
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 6000; i++) {
      const drawn = random.integer(6);
      counts[drawn] = (counts[drawn] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it('shuffles every item to every place', () => {
    const random = new RandomStream(5, 'shuffle');
    const places = [0, 0, 0, 0];
    for (let i = 0; i < 4000; i++) {
      const place = random.shuffled(['x', 'b', 'c', 'd']).indexOf('x');
      places[place] = (places[place] ?? 0) + 1;
    }
    for (const count of places) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it('samples without replacement', () => {
    const sample = new RandomStream(1, 's').sample([1, 2, 3, 4, 5], 5);
    expect(sample.slice().sort()).toEqual([1, 2, 3, 4, 5]);
    expect(() => new RandomStream(1).sample([1], 2)).toThrow(/sample/);
  });

  it('refuses seeds and counts that it cannot use', () => {
    for (const seed of [-1, 0.5, 2 ** 53, Number.NaN]) expect(() => new RandomStream(seed)).toThrow(/seed/);
    expect(() => new RandomStream(1).integer(0)).toThrow(/integer/);
  });

  it('makes keys below 2^53', () => {
    const keys = Array.from({ length: 200 }, (_, index) => stableKey('k', index));
    expect(new Set(keys).size).toBe(200);
    for (const key of keys) expect(Number.isSafeInteger(key) && key >= 0).toBe(true);
  });
});
