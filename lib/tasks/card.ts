import { stableKey } from '../random.js';
import type { RankingInstance } from '../types.js';
import { normalisedText, type Sides } from './split.js';

/** Encodes a text as token ids; without one, lengths are counted in words and characters. */
export type TokenCounter = (text: string) => number;

export interface CardOptions {
  readonly task: string;
  /** Where the data came from, e.g. the names of the files. */
  readonly source: unknown;
  /** Every setting that the build depends on, the seed among them. */
  readonly settings: object;
  /** Besides the numbers of instances and of candidates. */
  readonly counts?: Readonly<Record<string, unknown>>;
  /** Besides what can be seen from the instances. */
  readonly duplicates?: Readonly<Record<string, unknown>>;
  readonly checks?: Readonly<Record<string, unknown>>;
  /** What must not be on both sides, by the plural that the card names it with, e.g. users; undefined: this instance has none. */
  readonly keys: Readonly<Record<string, (instance: RankingInstance) => string | undefined>>;
  readonly countTokens?: TokenCounter;
}

/** An instance's candidates as one set, whatever their order. */
export function itemSetKey(instance: RankingInstance): string {
  return String(stableKey(...instance.candidates.map(({ id, text }) => `${id}\n${normalisedText(text)}`).sort()));
}

/** The texts of an instance's candidates as one set, for candidates whose ids mean nothing across instances. */
export function textSetKey(instance: RankingInstance): string {
  return String(stableKey(...instance.candidates.map(({ text }) => normalisedText(text)).sort()));
}

function onBothSides(
  { train, test }: Sides<RankingInstance>,
  keyOf: (instance: RankingInstance) => string | undefined,
): number {
  const keysOf = (side: readonly RankingInstance[]): Set<string> =>
    new Set(side.map(keyOf).filter((key): key is string => key !== undefined));
  const trained = keysOf(train);
  return [...keysOf(test)].filter((key) => trained.has(key)).length;
}

/** The smallest value that at least a share of the values does not exceed (nearest rank). */
function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

function describeLengths(values: Iterable<number>): Record<string, number> {
  const sorted = Float64Array.from(values).sort();
  return {
    p50: percentile(sorted, 0.5),
    p90: percentile(sorted, 0.9),
    p99: percentile(sorted, 0.99),
    max: percentile(sorted, 1),
  };
}

/** Percentiles of contexts, candidates and whole instances; the same text is counted once only. */
function lengthsIn(all: readonly RankingInstance[], measure: (text: string) => number): Record<string, unknown> {
  const known = new Map<string, number>();
  const lengthOf = (text: string): number => {
    const length = known.get(text) ?? measure(text);
    known.set(text, length);
    return length;
  };
  return {
    context: describeLengths(all.map(({ context }) => lengthOf(context))),
    candidate: describeLengths(all.flatMap(({ candidates }) => candidates.map(({ text }) => lengthOf(text)))),
    instance: describeLengths(
      all.map(({ context, candidates }) =>
        candidates.reduce((sum, { text }) => sum + lengthOf(text), lengthOf(context)),
      ),
    ),
  };
}

const words = (text: string): number => text.split(/\s+/u).filter((word) => word !== '').length;

function describeCandidates(all: readonly RankingInstance[]): Record<string, number> {
  const sizes = all.map(({ candidates }) => candidates.length);
  return {
    fewest: sizes.reduce((least, size) => Math.min(least, size), Number.POSITIVE_INFINITY),
    most: sizes.reduce((most, size) => Math.max(most, size), 0),
  };
}

function hasRepeatedText({ candidates }: RankingInstance): boolean {
  return new Set(candidates.map(({ text }) => text)).size < candidates.length;
}

/** How many instances have several candidates of the best grade: ties that are all right answers. */
function tiedInstances(all: readonly RankingInstance[]): number {
  return all.filter(({ relevance }) => {
    const best = Math.max(...relevance);
    return relevance.filter((grade) => grade === best).length > 1;
  }).length;
}

/** What every build tells of itself; all of it is computed from the finished instances. */
export function describeTask(sides: Sides<RankingInstance>, options: CardOptions): Record<string, unknown> {
  const all = [...sides.train, ...sides.test];
  const question = (instance: RankingInstance): string =>
    `${normalisedText(instance.context)}\n${textSetKey(instance)}\n${instance.task}`;
  return {
    task: options.task,
    source: options.source,
    settings: options.settings,
    counts: {
      ...options.counts,
      trainInstances: sides.train.length,
      testInstances: sides.test.length,
      candidates: describeCandidates(all),
    },
    ties: { instancesWithSeveralBest: tiedInstances(all) },
    duplicates: {
      ...options.duplicates,
      instancesWithTwoCandidatesOfOneText: all.filter(hasRepeatedText).length,
      repeatedQuestions: all.length - new Set(all.map(question)).size,
    },
    checks: {
      ...Object.fromEntries(
        Object.entries(options.keys).map(([name, keyOf]) => [`${name}OnBothSides`, onBothSides(sides, keyOf)]),
      ),
      ...options.checks,
    },
    lengths: options.countTokens
      ? { tokens: lengthsIn(all, options.countTokens) }
      : { words: lengthsIn(all, words), characters: lengthsIn(all, (text) => text.length) },
  };
}
