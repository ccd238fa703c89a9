/** The order in which examples are visited: a pure function of (seed, stage, position), so that resuming needs only the position. */
import { WinnowError } from '../errors.js';
import { RandomStream } from '../random.js';

/** Visits `size` examples over and over, each pass (epoch) in a new random order. */
export class DataOrder {
  readonly #size: number;
  readonly #seed: number;
  readonly #name: string;
  #epoch = -1;
  #order: readonly number[] = [];

  /** `name` keeps the orders of different stages apart. */
  constructor(size: number, seed: number, name: string) {
    if (size < 1) throw new WinnowError('ERR_DATA_EMPTY', 'there is nothing to train on', { expected: 'an example' });
    this.#size = size;
    this.#seed = seed;
    this.#name = name;
  }

  /** The example at `position` of the endless visit. */
  at(position: number): number {
    const epoch = Math.floor(position / this.#size);
    if (epoch !== this.#epoch) {
      const identity = Array.from({ length: this.#size }, (_, index) => index);
      this.#order = new RandomStream(this.#seed, 'data-order', this.#name, epoch).shuffled(identity);
      this.#epoch = epoch;
    }
    return this.#order[position % this.#size] as number;
  }

  /** The examples at positions start .. start + count - 1. */
  slice(start: number, count: number): number[] {
    return Array.from({ length: count }, (_, i) => this.at(start + i));
  }
}
