/** A sort as plain data: what has been answered so far decides everything, so a state can be stored, copied and taken up again. */
import {
  bubbleSort,
  type Comparison,
  heapSort,
  insertionSort,
  type Sort,
  type SortName,
  upstreamBubbleSort,
} from './setwise-sorts.js';

export interface SortSettings {
  readonly sort: SortName | 'upstream-bubble';
  /** Candidates of one comparison. */
  readonly window: number;
  readonly topK: number;
  /** Whether the same set of candidates is asked about once only. */
  readonly memo: boolean;
}

/** Plain data. */
export interface SortState {
  /** Winners in the order in which they were asked for. */
  readonly winners: readonly string[];
  /** What is asked next; empty when done. */
  readonly pending: readonly Comparison[];
  /** Set when done; the first `topK` are settled. */
  readonly order: readonly string[] | undefined;
  /** Comparisons that the sort made, answered from the memo or without asking ones included. */
  readonly comparisons: number;
}

const sorts: Readonly<Record<SortSettings['sort'], (ids: readonly string[], children: number, topK: number) => Sort>> =
  {
    heap: heapSort,
    bubble: bubbleSort,
    insertion: insertionSort,
    'upstream-bubble': upstreamBubbleSort,
  };

const setKey = (comparison: Comparison): string => JSON.stringify(comparison.toSorted());

/** A sort on its way. It mutates, so a state that is advanced twice gets a second one, made by replaying its winners. */
class SortRun {
  readonly #sort: Sort;
  readonly #memo: Map<string, string> | undefined;
  #round: readonly Comparison[] = [];
  #settled: (string | undefined)[] = [];
  #comparisons = 0;
  #order: readonly string[] | undefined;

  constructor(ids: readonly string[], settings: SortSettings) {
    const topK = Math.min(settings.topK, ids.length);
    this.#sort = sorts[settings.sort](ids, settings.window - 1, topK);
    this.#memo = settings.memo ? new Map() : undefined;
    this.#take(this.#sort.next());
    this.#advance();
  }

  /** Those of the round that nothing but the model can answer. */
  pending(): Comparison[] {
    return this.#round.filter((_, index) => this.#settled[index] === undefined);
  }

  /** @param winners of `pending`, in its order */
  answer(winners: readonly string[]): void {
    let next = 0;
    this.#round.forEach((comparison, index) => {
      if (this.#settled[index] !== undefined) return;
      const winner = winners[next++] as string;
      this.#settled[index] = winner;
      this.#memo?.set(setKey(comparison), winner);
    });
    this.#advance();
  }

  state(winners: readonly string[]): SortState {
    return { winners, pending: this.pending(), order: this.#order, comparisons: this.#comparisons };
  }

  /** Goes on until something must be asked, or the end. */
  #advance(): void {
    while (this.#order === undefined && this.#settled.every((winner) => winner !== undefined)) {
      this.#take(this.#sort.next(this.#settled as string[]));
    }
  }

  #take(next: IteratorResult<readonly Comparison[], readonly string[]>): void {
    if (next.done) {
      this.#order = next.value;
      this.#round = [];
      this.#settled = [];
      return;
    }
    this.#round = next.value;
    this.#comparisons += next.value.length;
    this.#settled = next.value.map((comparison) =>
      comparison.length < 2 ? (comparison[0] ?? '') : this.#memo?.get(setKey(comparison)),
    );
  }
}

/** Runs by the state they stand at, so that going on costs one step and not a replay. Only ever a short cut. */
const live = new WeakMap<SortState, SortRun>();

function stateOf(run: SortRun, winners: readonly string[]): SortState {
  const state = run.state(winners);
  live.set(state, run);
  return state;
}

export function startSort(ids: readonly string[], settings: SortSettings): SortState {
  return stateOf(new SortRun(ids, settings), []);
}

/** @param winners of `state.pending`, in its order */
export function advanceSort(
  ids: readonly string[],
  settings: SortSettings,
  state: SortState,
  winners: readonly string[],
): SortState {
  const run = live.get(state) ?? replay(ids, settings, state.winners);
  live.delete(state);
  run.answer(winners);
  return stateOf(run, [...state.winners, ...winners]);
}

function replay(ids: readonly string[], settings: SortSettings, winners: readonly string[]): SortRun {
  const run = new SortRun(ids, settings);
  for (let used = 0; used < winners.length; ) {
    const count = run.pending().length;
    run.answer(winners.slice(used, used + count));
    used += count;
  }
  return run;
}
