import { createHash } from 'node:crypto';
import { WinnowError } from './errors.js';

/** 32 x 32 -> 64 bit product as two unsigned halves; JavaScript numbers hold only 53 bits. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle & 0xffff) + aLow * bHigh;
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0;
}

/**
 * Counter-based random bits: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11).
 * The same stream as native/base/philox.h. Writes four unsigned 32-bit values to `out`.
 */
export function philox4x32(
  keyLow: number,
  keyHigh: number,
  counter: readonly [number, number, number, number],
  out: Uint32Array,
): void {
  let key0 = keyLow >>> 0;
  let key1 = keyHigh >>> 0;
  let [c0, c1, c2, c3] = counter;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0 >>> 0);
    const low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const high1 = multiplyHigh(0xcd9e8d57, c2 >>> 0);
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    c0 = (high1 ^ c1 ^ key0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ key1) >>> 0;
    c3 = low0;
    key0 = (key0 + 0x9e3779b9) >>> 0;
    key1 = (key1 + 0xbb67ae85) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** The first 8 bytes of the SHA-256 of `parts`, which are joined so that ('a', 'bc') and ('ab', 'c') differ. */
function hashParts(parts: readonly (string | number)[]): [low: number, high: number] {
  const digest = createHash('sha256').update(JSON.stringify(parts)).digest();
  return [digest.readUInt32LE(0), digest.readUInt32LE(4)];
}

/** An integer in [0, 2^53) that depends on `parts` alone: the identity of a prompt, a case or a run for the random numbers. */
export function stableKey(...parts: readonly (string | number)[]): number {
  const [low, high] = hashParts(parts);
  return (high & 0x1fffff) * 2 ** 32 + low;
}

/**
 * A named stream of random numbers. What it yields depends on (seed, parts) alone, never on what other streams drew, so a
 * change in one stage of a pipeline leaves the others' draws as they were.
 */
export class RandomStream {
  readonly #keyLow: number;
  readonly #keyHigh: number;
  readonly #low: number;
  readonly #high: number;
  readonly #block = new Uint32Array(4);
  #blockIndex = 0;
  #used = 4;

  /** @param seed integer in [0, 2^53) */
  constructor(seed: number, ...parts: readonly (string | number)[]) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new WinnowError('ERR_SEED', 'a seed cannot be used', {
        expected: 'an integer from 0 to 2^53 - 1',
        received: String(seed),
      });
    }
    this.#keyLow = seed >>> 0;
    this.#keyHigh = Math.floor(seed / 2 ** 32);
    [this.#low, this.#high] = hashParts(parts);
  }

  /** 32 random bits as an unsigned integer. */
  bits(): number {
    if (this.#used === 4) {
      const low = this.#blockIndex >>> 0;
      const high = Math.floor(this.#blockIndex / 2 ** 32);
      philox4x32(this.#keyLow, this.#keyHigh, [low, high, this.#low, this.#high], this.#block);
      this.#blockIndex++;
      this.#used = 0;
    }
    return this.#block[this.#used++] as number;
  }

  /** Uniform in [0, 1), 24 bits, as uniform_from_bits of native/base/philox.h. */
  uniform(): number {
    return (this.bits() >>> 8) * 2 ** -24;
  }

  /** Uniform in 0 .. count - 1 without modulo bias: draws that fall beyond the last whole multiple are redrawn. */
  integer(count: number): number {
    if (!Number.isInteger(count) || count < 1 || count > 2 ** 32) {
      throw new WinnowError('ERR_RANDOM_RANGE', 'a random integer cannot be drawn', {
        expected: 'a count from 1 to 2^32',
        received: String(count),
      });
    }
    const limit = 2 ** 32 - (2 ** 32 % count);
    let value = this.bits();
    while (value >= limit) value = this.bits();
    return value % count;
  }

  /** Standard normal (Box and Muller, 1958). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  pick<T>(items: readonly T[]): T {
    return items[this.integer(items.length)] as T;
  }

  /** A new array in uniformly random order (Fisher and Yates). */
  shuffled<T>(items: readonly T[]): T[] {
    const result = items.slice();
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const held = result[i] as T;
      result[i] = result[j] as T;
      result[j] = held;
    }
    return result;
  }

  /** `count` distinct items in random order. */
  sample<T>(items: readonly T[], count: number): T[] {
    if (count > items.length) {
      throw new WinnowError('ERR_RANDOM_RANGE', 'a sample without replacement cannot be drawn', {
        expected: `at most ${items.length} items`,
        received: String(count),
      });
    }
    const pool = items.slice();
    for (let i = 0; i < count; i++) {
      const j = i + this.integer(pool.length - i);
      const held = pool[i] as T;
      pool[i] = pool[j] as T;
      pool[j] = held;
    }
    return pool.slice(0, count);
  }
}
