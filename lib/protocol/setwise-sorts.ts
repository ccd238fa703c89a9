/**
 * Sorting by "which of these is the best?" (Zhuang et al. 2023, setwise prompting, arXiv 2310.09497). Each sort is a generator of
 * rounds: it yields comparisons that do not depend on each other and receives their winners. The window is one more than the
 * children of a heap's node.
 */

/** Ids of which the best is wanted; the first stays in place when there is no answer. Fewer than two ask nothing. */
export type Comparison = readonly string[];

/** Ends with an order whose first `topK` are settled. */
export type Sort = Generator<readonly Comparison[], readonly string[], readonly string[]>;

export type SortName = 'heap' | 'bubble' | 'insertion';

type OneByOne = Generator<Comparison, void, string>;

/** Several independent tasks, one comparison of each a round; a task leaves when it is through. */
function* together(tasks: readonly OneByOne[]): Generator<readonly Comparison[], void, readonly string[]> {
  const request = (task: OneByOne, winner?: string) => {
    const next = winner === undefined ? task.next() : task.next(winner);
    return next.done ? [] : [{ task, comparison: next.value }];
  };
  let open = tasks.flatMap((task) => request(task));
  while (open.length > 0) {
    const winners: readonly string[] = yield open.map(({ comparison }) => comparison);
    open = open.flatMap(({ task }, index) => request(task, winners[index]));
  }
}

function* siftDown(heap: string[], size: number, root: number, children: number): OneByOne {
  let parent = root;
  for (let first = children * parent + 1; first < size; first = children * parent + 1) {
    const window = [heap[parent] as string, ...heap.slice(first, Math.min(first + children, size))];
    const best = window.indexOf(yield window);
    if (best <= 0) return;
    const child = first + best - 1;
    swap(heap, parent, child);
    parent = child;
  }
}

/** The nodes of a heap by level, the root's first: the subtrees of one level do not touch each other. */
function levelsOf(size: number, children: number): number[][] {
  const levels: number[][] = [];
  for (let first = 0, width = 1; first < size; first += width, width *= children) {
    levels.push(Array.from({ length: Math.min(width, size - first) }, (_, index) => first + index));
  }
  return levels;
}

/**
 * A heap with `children` a node; then its top is taken `topK` times. What upstream does node by node from the end, this does level by
 * level, with the same comparisons and outcomes.
 */
export function* heapSort(ids: readonly string[], children: number, topK: number): Sort {
  const heap = ids.slice();
  for (const level of levelsOf(heap.length, children).reverse()) {
    yield* together(level.map((node) => siftDown(heap, heap.length, node, children)));
  }
  const top: string[] = [];
  for (let last = heap.length - 1; last >= 0 && top.length < topK; last--) {
    swap(heap, 0, last);
    top.push(heap[last] as string);
    if (top.length < topK) yield* together([siftDown(heap, last, 0, children)]);
  }
  return withRest(top, ids);
}

/** `topK` passes of a window from the end to the first unsettled place; the best of a window moves to its front. */
export function* bubbleSort(ids: readonly string[], children: number, topK: number): Sort {
  const order = ids.slice();
  for (let settled = 0; settled < Math.min(topK, order.length); settled++) {
    let end = order.length;
    for (let start = end - children - 1; ; start -= children, end -= children) {
      const from = Math.max(start, settled);
      const window = order.slice(from, end);
      swap(order, from, from + (yield* bestIndex(window)));
      if (from === settled) break;
    }
  }
  return withRest(order.slice(0, topK), ids);
}

/**
 * Bubble sort as ielab/llm-rankers has it (llmrankers/setwise.py at b36517b), defect included: a pass begins where the last one saw
 * its first change, so it skips windows at the end that did change since, and asks about empty and single windows.
 */
export function* upstreamBubbleSort(ids: readonly string[], children: number, topK: number): Sort {
  const order = ids.slice();
  const tail = order.length - (children + 1);
  let lastStart = tail;
  for (let settled = 0; settled < topK; settled++) {
    let changed = false;
    let end = lastStart + children + 1;
    for (let start = lastStart; ; start -= children, end -= children) {
      const from = Math.max(start, settled);
      const window = order.slice(from, end);
      const best: number = yield* bestIndex(window);
      if (best !== 0) {
        swap(order, from, from + best);
        if (!changed && lastStart !== tail && best === window.length - 1) lastStart += window.length - 1;
        changed = true;
      }
      if (from === settled) break;
      if (!changed) lastStart -= children;
    }
  }
  return withRest(order.slice(0, topK), ids);
}

/**
 * Keeps a settled top and asks whether the next candidates hold anything better than its last (Podolak et al. 2025, setwise insertion,
 * arXiv 2504.10509): if not, all of them are out at the cost of one comparison; else the winner goes to its place, found by
 * halving. A good first-stage order makes it cheap.
 */
export function* insertionSort(ids: readonly string[], children: number, topK: number): Sort {
  const size = Math.min(topK, ids.length);
  const seeded = yield* heapSort(ids.slice(0, size), children, size);
  const top = seeded.slice();
  let rest = ids.slice(size);
  while (rest.length > 0) {
    const window = [top.at(-1) as string, ...rest.slice(0, children)];
    const best: number = yield* bestIndex(window);
    if (best === 0) {
      rest = rest.slice(children);
      continue;
    }
    const winner = window[best] as string;
    rest = rest.filter((id) => id !== winner);
    top.pop();
    top.splice(yield* placeIn(top, winner), 0, winner);
  }
  return withRest(top, ids);
}

/** How many of `sorted` are better than `id`. */
function* placeIn(sorted: readonly string[], id: string): Generator<readonly Comparison[], number, readonly string[]> {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((yield* bestIndex([sorted[middle] as string, id])) === 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function* bestIndex(window: Comparison): Generator<readonly Comparison[], number, readonly string[]> {
  const [winner] = yield [window];
  return Math.max(0, window.indexOf(winner ?? ''));
}

/** Behind the top, the others as they came. */
function withRest(top: readonly string[], ids: readonly string[]): string[] {
  const settled = new Set(top);
  return [...top, ...ids.filter((id) => !settled.has(id))];
}

function swap(list: string[], a: number, b: number): void {
  if (a === b) return;
  const held = list[a] as string;
  list[a] = list[b] as string;
  list[b] = held;
}
