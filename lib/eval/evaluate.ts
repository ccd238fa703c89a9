import { WinnowError } from '../errors.js';
import {
  type Generate,
  type MalformedPolicy,
  type RankAllOptions,
  type RankingResult,
  rankAll,
} from '../protocol/driver.js';
import { isRightExclusion } from '../protocol/exclusion-reward.js';
import type { MalformedReason, Protocol, RankingInstance } from '../types.js';
import { rankByScores, type Scorer } from './baselines.js';
import { type BootstrapOptions, bootstrapMean, type Interval } from './bootstrap.js';
import { chanceOf, chanceOfRightExclusion } from './chance.js';
import type { Gain } from './measures/index.js';
import { measure } from './named-measure.js';

export const defaultMeasures: readonly string[] = ['MRR', 'nDCG@5', 'nDCG@10', 'Hit@1', 'Hit@5', 'Hit@10'];

export interface EvaluationOptions {
  /** Default `defaultMeasures`. */
  readonly measures?: readonly string[];
  /** For nDCG; default 'linear'. */
  readonly gain?: Gain;
  readonly bootstrap?: BootstrapOptions;
}

/** A measure over all instances; shares from 0 to 1. */
export interface MeasureResult extends Interval {
  readonly name: string;
  /** The exact expectation under uniformly random orders of the same candidates. */
  readonly chance: number;
  /** In the order of the instances, for paired comparisons. */
  readonly perInstance: readonly number[];
}

/** Exclusions among `size` candidates, counted where a more relevant candidate was there to be kept. */
export interface StepAccuracy {
  readonly size: number;
  readonly count: number;
  /** Share of right ones; a malformed answer is not right. */
  readonly accuracy: number;
  /** What uniformly random exclusions from the same candidates would reach. */
  readonly chance: number;
}

export interface ModelEvaluation {
  readonly protocol: string;
  readonly instances: number;
  readonly measures: readonly MeasureResult[];
  /** Empty for protocols that do not exclude. */
  readonly exclusionBySize: readonly StepAccuracy[];
  /** Over all such steps; undefined without any. */
  readonly exclusion: Omit<StepAccuracy, 'size'> | undefined;
  /** Share of completions that were malformed. */
  readonly malformedRate: number;
  readonly malformedByReason: Readonly<Partial<Record<MalformedReason, number>>>;
  /** Instances that the policy `fail` ended; they count with the worst order. */
  readonly failedInstances: number;
  readonly calls: number;
  readonly completionTokens: number;
  readonly seconds: number;
  readonly results: readonly RankingResult[];
}

/** Relevance by rank. A missing ranking is the worst order: relevant candidates last. */
export function gradesByRank(instance: RankingInstance, ranking: readonly string[] | undefined): number[] {
  if (ranking === undefined) return instance.relevance.slice().sort((a, b) => a - b);
  const gradeOf = new Map(instance.candidates.map(({ id }, index) => [id, instance.relevance[index] as number]));
  const grades = ranking.map((id) => gradeOf.get(id));
  if (new Set(ranking).size !== gradeOf.size || grades.length !== gradeOf.size || grades.includes(undefined)) {
    throw new WinnowError('ERR_EVALUATION', `the ranking of ${instance.id} is no order of its candidates`, {
      expected: `each of ${gradeOf.size} candidates once`,
      received: ranking.join(' '),
    });
  }
  return grades as number[];
}

/** Measures of finished rankings, aligned with the instances; undefined is a failed instance. */
export function evaluateRankings(
  instances: readonly RankingInstance[],
  rankings: readonly (readonly string[] | undefined)[],
  options: EvaluationOptions = {},
): MeasureResult[] {
  if (instances.length === 0 || rankings.length !== instances.length) {
    throw new WinnowError('ERR_EVALUATION', 'there is nothing to measure', {
      expected: 'at least one instance, and one ranking for each',
      received: `${instances.length} instances, ${rankings.length} rankings`,
    });
  }
  const gain = options.gain ?? 'linear';
  const grades = instances.map((instance, index) => gradesByRank(instance, rankings[index]));
  return (options.measures ?? defaultMeasures).map((name) => {
    const perInstance = grades.map((ofInstance) => measure(name, ofInstance, gain));
    const chances = instances.map(({ relevance }) => chanceOf(name, relevance, gain));
    return {
      name,
      ...bootstrapMean(perInstance, options.bootstrap),
      chance: chances.reduce((sum, value) => sum + value, 0) / chances.length,
      perInstance,
    };
  });
}

/** Measures of a baseline. */
export function evaluateScorer(
  scorer: Scorer,
  instances: readonly RankingInstance[],
  options: EvaluationOptions = {},
): MeasureResult[] {
  return evaluateRankings(
    instances,
    instances.map((instance) => rankByScores(instance, scorer(instance))),
    options,
  );
}

interface StepTally {
  count: number;
  right: number;
  chance: number;
}

function tallyExclusions(
  instances: readonly RankingInstance[],
  results: readonly RankingResult[],
): Map<number, StepTally> {
  const bySize = new Map<number, StepTally>();
  results.forEach(({ steps }, index) => {
    const instance = instances[index] as RankingInstance;
    const gradeOf = new Map(instance.candidates.map(({ id }, place) => [id, instance.relevance[place] as number]));
    for (const { shownIds, answer, attempt } of steps) {
      const grades = shownIds.map((id) => gradeOf.get(id) as number);
      // A repetition asks the same question again: the first answer counts. Equal grades leave nothing to get wrong.
      if (attempt > 0 || Math.min(...grades) === Math.max(...grades)) continue;
      const tally = bySize.get(shownIds.length) ?? { count: 0, right: 0, chance: 0 };
      bySize.set(shownIds.length, tally);
      tally.count++;
      tally.chance += chanceOfRightExclusion(grades);
      if (answer.ok && isRightExclusion(instance, shownIds, answer.ids[0] as string)) tally.right++;
    }
  });
  return bySize;
}

const accuracyOf = ({ count, right, chance }: StepTally) => ({
  count,
  accuracy: right / count,
  chance: chance / count,
});

/**
 * Ranks all instances with a model and measures the outcome next to exact chance. Malformed completions are never dropped: each
 * is counted by its reason, and the policy decides how the instance goes on (see `MalformedPolicy`; default keep_order).
 */
export async function evaluate<State>(
  protocol: Protocol<State>,
  instances: readonly RankingInstance[],
  generate: Generate,
  options: EvaluationOptions & {
    readonly malformed?: MalformedPolicy;
    readonly signal?: AbortSignal;
    readonly onProgress?: (done: number, total: number) => void;
    /** After every round: what was asked in it, with the texts, which results do not keep. Awaited. */
    readonly onRound?: NonNullable<RankAllOptions['onRound']>;
  } = {},
): Promise<ModelEvaluation> {
  const started = performance.now();
  const results = await rankAll(protocol, instances, generate, options);
  const seconds = (performance.now() - started) / 1000;
  const malformedByReason: Partial<Record<MalformedReason, number>> = {};
  for (const { malformed } of results) {
    for (const [reason, count] of Object.entries(malformed) as [MalformedReason, number][]) {
      malformedByReason[reason] = (malformedByReason[reason] ?? 0) + count;
    }
  }
  const calls = results.reduce((sum, result) => sum + result.calls, 0);
  const malformedCount = Object.values(malformedByReason).reduce((sum, count) => sum + count, 0);
  const bySize = protocol.name.startsWith('exclusion') ? tallyExclusions(instances, results) : new Map();
  const all: StepTally = { count: 0, right: 0, chance: 0 };
  for (const tally of bySize.values()) {
    all.count += tally.count;
    all.right += tally.right;
    all.chance += tally.chance;
  }
  return {
    protocol: protocol.name,
    instances: instances.length,
    measures: evaluateRankings(
      instances,
      results.map(({ ranking }) => ranking),
      options,
    ),
    exclusionBySize: [...bySize].sort(([a], [b]) => a - b).map(([size, tally]) => ({ size, ...accuracyOf(tally) })),
    exclusion: all.count > 0 ? accuracyOf(all) : undefined,
    malformedRate: calls === 0 ? 0 : malformedCount / calls,
    malformedByReason,
    failedInstances: results.filter(({ ranking }) => ranking === undefined).length,
    calls,
    completionTokens: results.reduce((sum, result) => sum + result.completionTokens, 0),
    seconds,
    results,
  };
}
