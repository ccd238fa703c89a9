import { RandomStream } from '../random.js';
import type { RankingInstance } from '../types.js';
import { countItems, historyOf, rankByScores, type Scorer, type Sequences } from './baselines.js';

export interface CoOccurrenceOptions {
  /** How many of an instance's past items count; default 10. */
  readonly depth?: number;
  /** How far apart in a training sequence two items may be to occur together; default 20. */
  readonly window?: number;
  /** The newest past item weighs 1, the next 2^-decay, the n-th n^-decay; default 1. */
  readonly decay?: number;
  /**
   * The one of the training sequences that must not count for an instance, by identity; default none. With the instance's own
   * user here the scores of a training instance know no more of its target than those of a test instance do.
   */
  readonly without?: (instance: RankingInstance) => readonly string[] | undefined;
}

type Settings = Required<Omit<CoOccurrenceOptions, 'without'>>;
const defaults: Settings = { depth: 10, window: 20, decay: 1 };

/** Unordered pairs within `window` places of one sequence, by item and item. */
function countNeighbours(sequences: Sequences, window: number): Map<string, Map<string, number>> {
  const counts = new Map<string, Map<string, number>>();
  const add = (from: string, to: string): void => {
    const ofItem = counts.get(from) ?? new Map<string, number>();
    counts.set(from, ofItem);
    ofItem.set(to, (ofItem.get(to) ?? 0) + 1);
  };
  for (const sequence of sequences) {
    sequence.forEach((item, place) => {
      for (const other of sequence.slice(place + 1, place + 1 + window)) {
        add(item, other);
        add(other, item);
      }
    });
  }
  return counts;
}

/** What one sequence adds to the counts. */
interface Share {
  has(item: string): boolean;
  together(a: string, b: string): number;
}

const noShare: Share = { has: () => false, together: () => 0 };

function shareOf(sequence: readonly string[], window: number): Share {
  const places = new Map<string, number[]>();
  sequence.forEach((item, place) => {
    places.set(item, [...(places.get(item) ?? []), place]);
  });
  const placesOf = (item: string): readonly number[] => places.get(item) ?? [];
  return {
    has: (item) => places.has(item),
    together: (a, b) =>
      placesOf(a).flatMap((i) => placesOf(b).filter((j) => i !== j && Math.abs(i - j) <= window)).length,
  };
}

function scorerFrom(
  users: ReadonlyMap<string, number>,
  neighbours: ReadonlyMap<string, ReadonlyMap<string, number>>,
  { depth, decay }: Settings,
  shareFor: (instance: RankingInstance) => Share = () => noShare,
): Scorer {
  return (instance) => {
    const recent = historyOf(instance).slice(-depth).reverse();
    const left = shareFor(instance);
    const usersOf = (item: string): number => (users.get(item) ?? 0) - (left.has(item) ? 1 : 0);
    return instance.candidates.map(({ id }) =>
      recent.reduce((sum, past, age) => {
        const together = (neighbours.get(past)?.get(id) ?? 0) - left.together(past, id);
        if (together === 0) return sum;
        return sum + together / Math.sqrt(usersOf(past) * usersOf(id)) / (age + 1) ** decay;
      }, 0),
    );
  };
}

/**
 * Weighted co-occurrence: how often the candidate and a past item are near each other in the training sequences, over
 * sqrt(users of the one x users of the other), summed over the last past items with weights that fall with their age.
 * Nearness in time is what it knows more than `cosineScorer`.
 */
export function coOccurrenceScorer(sequences: Sequences, options: CoOccurrenceOptions = {}): Scorer {
  const { without, ...given } = options;
  const settings = { ...defaults, ...given };
  const shares = new Map<readonly string[], Share>();
  const shareFor = (instance: RankingInstance): Share => {
    const sequence = without?.(instance);
    if (sequence === undefined) return noShare;
    const share = shares.get(sequence) ?? shareOf(sequence, settings.window);
    shares.set(sequence, share);
    return share;
  };
  return scorerFrom(countItems(sequences), countNeighbours(sequences, settings.window), settings, shareFor);
}

export interface CoOccurrenceChoice extends Settings {
  /** On the training users left out. */
  readonly meanReciprocalRank: number;
}

export interface ChoiceOptions {
  readonly seed: number;
  /** Past items of an instance; default 20. */
  readonly history?: number;
  /** Default 19. */
  readonly negatives?: number;
  /** Share of the training users who are left out to choose on; default 0.25. */
  readonly share?: number;
}

const windows = [3, 5, 10, 20, 40, 80];
const depths = [3, 5, 10, 20];
const decays = [0, 0.5, 1];

/** An instance a user, as the recommendation tasks make them: the first items as history, the next one as target. */
function validationInstances(users: Sequences, items: readonly string[], options: ChoiceOptions): RankingInstance[] {
  const { seed, history = 20, negatives = 19 } = options;
  return users.flatMap((sequence, user) => {
    const target = sequence[history];
    if (target === undefined) return [];
    const taken = new Set(sequence);
    const pool = items.filter((item) => !taken.has(item));
    if (pool.length < negatives) return [];
    const random = new RandomStream(seed, 'co-occurrence', 'negatives', user);
    const ids = random.shuffled([target, ...random.sample(pool, negatives)]);
    return [
      {
        id: String(user),
        task: 'choice',
        context: '',
        candidates: ids.map((id) => ({ id, text: id })),
        relevance: ids.map((id) => (id === target ? 1 : 0)),
        meta: { historyItemIds: sequence.slice(0, history) },
      },
    ];
  });
}

function meanReciprocalRank(scorer: Scorer, instances: readonly RankingInstance[]): number {
  const sum = instances.reduce((total, instance) => {
    const target = instance.candidates[instance.relevance.indexOf(1)]?.id as string;
    return total + 1 / (rankByScores(instance, scorer(instance)).indexOf(target) + 1);
  }, 0);
  return sum / instances.length;
}

/**
 * Settings of `coOccurrenceScorer` chosen on training users alone: a share of them is left out of the counts, and the settings of
 * the best mean reciprocal rank on them are taken. The defaults when no user is long enough to choose on.
 *
 * @param sequences of the training users; no test user may be among them
 */
export function chooseCoOccurrence(sequences: Sequences, options: ChoiceOptions): CoOccurrenceChoice {
  const order = new RandomStream(options.seed, 'co-occurrence', 'users').shuffled(sequences);
  const count = Math.round(order.length * (options.share ?? 0.25));
  const [leftOut, counted] = [order.slice(0, count), order.slice(count)];
  const items = [...new Set(sequences.flat())];
  const instances = validationInstances(leftOut, items, options);
  if (instances.length === 0) return { ...defaults, meanReciprocalRank: Number.NaN };
  const users = countItems(counted);
  let best: CoOccurrenceChoice = { ...defaults, meanReciprocalRank: Number.NEGATIVE_INFINITY };
  for (const window of windows) {
    const neighbours = countNeighbours(counted, window);
    for (const depth of depths) {
      for (const decay of decays) {
        const settings = { window, depth, decay };
        const value = meanReciprocalRank(scorerFrom(users, neighbours, settings), instances);
        if (value > best.meanReciprocalRank) best = { ...settings, meanReciprocalRank: value };
      }
    }
  }
  return best;
}
