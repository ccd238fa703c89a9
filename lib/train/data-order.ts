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

/** Consecutive examples of one source, and how often it is drawn from in proportion to the others. */
export interface MixturePart {
  readonly name: string;
  readonly size: number;
  readonly weight: number;
}

/**
 * Visits several sources that lie one after the other: each position draws its source by weight, and each source is visited in the
 * way of DataOrder. A small source is thus repeated more often, never more seldom than its weight says.
 */
export class MixedOrder {
  readonly #parts: readonly MixturePart[];
  readonly #orders: readonly DataOrder[];
  readonly #random: RandomStream;
  readonly #visits: number[];
  /** Example by position, for all positions drawn so far: they follow from the seed, so that a resumed run draws them again. */
  readonly #drawn: number[] = [];

  constructor(parts: readonly MixturePart[], seed: number, name: string) {
    this.#parts = parts;
    this.#orders = parts.map((part) => new DataOrder(part.size, seed, `${name}/${part.name}`));
    this.#random = new RandomStream(seed, 'mixture', name);
    this.#visits = parts.map(() => 0);
  }

  at(position: number): number {
    while (this.#drawn.length <= position) this.#drawn.push(this.#draw());
    return this.#drawn[position] as number;
  }

  #draw(): number {
    let left = this.#random.uniform() * this.#parts.reduce((sum, { weight }) => sum + weight, 0);
    let part = 0;
    while (part < this.#parts.length - 1 && left >= (this.#parts[part] as MixturePart).weight) {
      left -= (this.#parts[part] as MixturePart).weight;
      part++;
    }
    const start = this.#parts.slice(0, part).reduce((sum, { size }) => sum + size, 0);
    const visit = this.#visits[part] as number;
    this.#visits[part] = visit + 1;
    return start + (this.#orders[part] as DataOrder).at(visit);
  }
}
