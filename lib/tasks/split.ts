import type { RandomStream } from '../random.js';

/** How many of `total` groups go to the test side: the share, rounded, at least one, and never all. */
export function testCountOf(total: number, testShare: number): number {
  return Math.min(total - 1, Math.max(1, Math.round(total * testShare)));
}

export interface Sides<T> {
  readonly train: readonly T[];
  readonly test: readonly T[];
}

/**
 * Splits by group before anything is made of the members, so that no group is on both sides. The members keep their order within
 * a side; which groups are tested depends on `random` alone.
 */
export function splitByGroup<T>(
  members: readonly T[],
  groupOf: (member: T) => string,
  testShare: number,
  random: RandomStream,
): Sides<T> {
  const groups = random.shuffled([...new Set(members.map(groupOf))]);
  const tested = new Set(groups.slice(0, testCountOf(groups.length, testShare)));
  return {
    train: members.filter((member) => !tested.has(groupOf(member))),
    test: members.filter((member) => tested.has(groupOf(member))),
  };
}

/** The same text up to case, spaces and the way that Unicode composes it: what counts as one query in a leakage check. */
export function normalisedText(text: string): string {
  return text.normalize('NFKC').toLowerCase().replace(/\s+/gu, ' ').trim();
}
