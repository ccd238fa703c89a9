/**
 * Calls per query for a perfect comparator against upstream's (ielab/llm-rankers at b36517b, simulated over 500 trials):
 * 100 candidates unless said otherwise; in random order, in one like BM25's (places + 25 x normal noise), and already sorted.
 */
import { expect, it } from 'vitest';
import { advanceSort, type SortSettings, startSort } from '../../lib/protocol/setwise-run.js';
import { RandomStream } from '../../lib/random.js';

interface Outcome {
  readonly calls: number;
  readonly comparisons: number;
  readonly shown: number;
  readonly exact: boolean;
}

function rank(ids: readonly string[], settings: SortSettings): Outcome {
  let state = startSort(ids, settings);
  let calls = 0;
  let shown = 0;
  while (state.order === undefined) {
    for (const { length } of state.pending) {
      if (length < 2 || length > settings.window) throw new Error(`asked about ${length} candidates`);
      shown += length;
    }
    calls += state.pending.length;
    const winners = state.pending.map((set) => set.reduce((best, id) => (Number(id) < Number(best) ? id : best)));
    state = advanceSort(ids, settings, state, winners);
  }
  const exact = state.order.slice(0, settings.topK).every((id, place) => Number(id) === place);
  return { calls, comparisons: state.comparisons, shown, exact };
}

const orders = {
  random: (ids: readonly string[], random: RandomStream) => random.shuffled(ids),
  bm25: (ids: readonly string[], random: RandomStream) => {
    const keys = ids.map((_, index) => index + 25 * random.normal());
    return ids.toSorted((a, b) => (keys[Number(a)] as number) - (keys[Number(b)] as number));
  },
  sorted: (ids: readonly string[]) => ids,
};

function average(order: keyof typeof orders, settings: SortSettings, candidates = 100) {
  const ids = Array.from({ length: candidates }, (_, index) => String(index));
  const trials = order === 'sorted' ? 1 : candidates > 100 ? 20 : 120;
  const runs = Array.from({ length: trials }, (_, trial) =>
    rank(orders[order](ids, new RandomStream(7, order, trial)), settings),
  );
  const mean = (value: (run: Outcome) => number): number => runs.reduce((sum, run) => sum + value(run), 0) / trials;
  return {
    calls: mean((run) => run.calls),
    comparisons: mean((run) => run.comparisons),
    shown: mean((run) => run.shown),
    exact: mean((run) => Number(run.exact)),
    most: Math.max(...runs.map(({ comparisons }) => comparisons)),
  };
}

const heap = (children: number, topK = 10, memo = true): SortSettings => ({
  ...{ sort: 'heap', window: children + 1, topK, memo },
});

it.each([
  [19, 10, 23.2, 20.7, 19],
  [9, 10, 31.5, 30.4, 30],
  [4, 10, 61, 58, 54],
  [3, 10, 82, 77, 69],
  [2, 10, 140, 123, 102],
  [19, 20, 41.5, 36.7, 29],
])('heap sort, %i children, top %i: %f random, %f like BM25, %i sorted', (children, topK, random, bm25, sorted) => {
  const found = (['random', 'bm25', 'sorted'] as const).map((order) => average(order, heap(children, topK)));
  [random, bm25, sorted].forEach((expected, index) => {
    expect(Math.abs((found[index]?.calls as number) - expected)).toBeLessThan(0.015 * expected + 0.3);
  });
  expect(found[2]?.calls).toBe(sorted);
  for (const { exact, calls, comparisons } of found) {
    expect(exact).toBe(1);
    // A heap hardly ever asks about the same set twice, so the memo changes next to nothing.
    expect(comparisons - calls).toBeGreaterThanOrEqual(0);
    expect(comparisons - calls).toBeLessThan(0.05);
  }
});

it('heap sort: candidates shown, most calls, other sizes', () => {
  const random = average('random', heap(19));
  expect(random.most).toBeLessThanOrEqual(25);
  expect(Math.abs(random.shown - 444)).toBeLessThan(8);
  expect(Math.abs(average('bm25', heap(19)).shown - 390)).toBeLessThan(8);
  expect(average('sorted', heap(19)).shown).toBe(365);
  expect(average('sorted', heap(9)).shown).toBe(299);
  expect(Math.round(average('random', heap(19, 1)).calls)).toBe(7);
  expect(average('random', heap(19), 20).calls).toBe(10);
  expect(average('random', heap(19, 1), 20).calls).toBe(1);
  expect(Math.abs(average('random', heap(19), 1000).calls - 80)).toBeLessThan(2);
});

const upstream = (children: number): SortSettings => ({
  ...{ sort: 'upstream-bubble', window: children + 1, topK: 10, memo: false },
});

it.each([
  [19, 46, 25.9, 15],
  [9, 97.6, 57.7, 20],
  [3, 306, 286, 42],
  [2, 463, 452, 59],
])("upstream's bubble sort, %i children: %f, %f, %i", (children, random, bm25, sorted) => {
  const found = (['random', 'bm25', 'sorted'] as const).map((order) => average(order, upstream(children)).comparisons);
  [random, bm25, sorted].forEach((expected, index) => {
    expect(Math.abs((found[index] as number) - expected)).toBeLessThan(0.04 * expected + 0.01);
  });
  expect(found[2]).toBe(sorted);
});

it("upstream's bubble sort misses the top 10 of a BM25-like order half of the time, ours never", () => {
  const { exact } = average('bm25', upstream(19));
  expect(exact).toBeGreaterThan(0.35);
  expect(exact).toBeLessThan(0.65);
  const right = average('bm25', { sort: 'bubble', window: 20, topK: 10, memo: false });
  expect(right).toMatchObject({ exact: 1, comparisons: 54, calls: 54, most: 54 });
  expect(average('random', { sort: 'bubble', window: 20, topK: 10, memo: false })).toMatchObject({
    exact: 1,
    calls: 54,
  });
});

it('answers repeated comparisons from the memo', () => {
  const sorted = average('sorted', { sort: 'bubble', window: 20, topK: 10, memo: true });
  expect(sorted).toMatchObject({ comparisons: 54, calls: 14, exact: 1 });
  expect(average('bm25', { sort: 'bubble', window: 20, topK: 10, memo: true }).calls).toBeLessThan(25);
});

it('insertion sort is exact, and cheapest where the first stage is good', () => {
  const settings = (children: number): SortSettings => ({
    sort: 'insertion',
    window: children + 1,
    topK: 10,
    memo: true,
  });
  for (const children of [1, 2, 3, 9, 19]) {
    for (const order of ['random', 'bm25', 'sorted'] as const) expect(average(order, settings(children)).exact).toBe(1);
  }
  // 9 comparisons put the first ten in order, 5 throw out the other ninety.
  expect(average('sorted', settings(19)).calls).toBe(14);
});
