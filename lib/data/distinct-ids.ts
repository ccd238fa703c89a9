import { fieldError, type Place, quoted } from './fields.js';

/** V8 refuses a Set of 2^24 elements; a passage collection may have more. */
const idsPerSet = 2 ** 23;

/** Finds an id that comes twice, among any number of them. */
export class DistinctIds {
  readonly #sets: Set<string>[] = [new Set()];

  /** False when it was there before. */
  add(id: string): boolean {
    if (this.#sets.some((set) => set.has(id))) return false;
    let last = this.#sets.at(-1) as Set<string>;
    if (last.size === idsPerSet) {
      last = new Set();
      this.#sets.push(last);
    }
    last.add(id);
    return true;
  }

  /** @throws WinnowError when it was there before */
  expectNew(id: string, place: Place, field: string): void {
    if (!this.add(id)) {
      throw fieldError(place, field, 'comes twice in the file', { expected: 'distinct ids', received: quoted(id) });
    }
  }
}
