/** The rows of a run's evaluation table, made with lib/eval: baselines, the model at some step, and gains between two rows. */
import {
  bootstrapDifference,
  bootstrapMean,
  bprScorer,
  chanceOf,
  coOccurrenceScorer,
  cosineScorer,
  evaluate,
  evaluateRankings,
  popularityScorer,
  rankByScores,
  type Scorer,
} from '../eval/index.js';
import { isRightExclusion, type RankingResult } from '../protocol/index.js';
import { stableKey } from '../random.js';
import type { RankingInstance } from '../types.js';
import type { EvaluationConfig } from './config.js';
import type { ComparisonRecord, EvaluationRecord, Interval, TaskMeans } from './events.js';
import type { RunParts } from './setup.js';

type Parts = Pick<RunParts, 'data' | 'protocol' | 'sampler'>;

/** Where in the run a row belongs. */
export interface EvaluationPlace {
  readonly label: string;
  readonly kind: EvaluationRecord['kind'];
  readonly step: number;
  readonly seed: number;
}

/** Ranks the test instances with the model as it is. */
export async function evaluateModel(
  { data, protocol, sampler }: Parts,
  config: EvaluationConfig,
  place: EvaluationPlace,
  signal: AbortSignal,
): Promise<EvaluationRecord> {
  const instances = testInstances(data.test, config);
  const { maxTokens, temperature, malformed: policy, retries, k, resamples } = config;
  const generate = sampler.generator({ maxTokens, temperature, seed: stableKey('evaluation', place.seed) }, { signal });
  const { measures, results } = await evaluate(protocol, instances, generate, {
    measures: ['MRR', `nDCG@${k}`, 'Hit@1'],
    bootstrap: { resamples, seed: place.seed },
    malformed: { policy, retries },
    signal,
  });
  const [mrr, ndcg, hit1] = measures.map(({ perInstance }) => perInstance);
  return makeRecord(place, config, instances, {
    ...{ mrr, ndcg, hit1 },
    ...(protocol.name.startsWith('exclusion') ? { exclusion_accuracy: results.map(stepAccuracy(instances)) } : {}),
    malformed_rate: results.map(({ calls, malformed }) => sum(Object.values(malformed)) / Math.max(1, calls)),
  });
}

/** Chance, which is exact, and the baselines that the settings name; they learn from the training users alone. */
export function evaluateBaselines({ data }: Parts, config: EvaluationConfig, seed: number): EvaluationRecord[] {
  const instances = testInstances(data.test, config);
  const chance = chanceRecord(instances, config, seed);
  if (data.trainSequences.length === 0) return [chance];
  const sequences = data.trainSequences.map(({ itemIds }) => itemIds);
  const rows = config.baselines.map((name) => {
    const scorer = kScorers[name](sequences, seed);
    const rankings = instances.map((instance) => rankByScores(instance, scorer(instance)));
    const measures = evaluateRankings(instances, rankings, { measures: ['MRR', `nDCG@${config.k}`, 'Hit@1'] });
    const [mrr, ndcg, hit1] = measures.map(({ perInstance }) => perInstance);
    const exclusion_accuracy = instances.map((instance, index) =>
      exclusionAccuracy(instance, (rankings[index] as string[]).toReversed()),
    );
    const place = { label: name, kind: 'baseline', step: 0, seed } as const;
    return makeRecord(place, config, instances, { mrr, ndcg, hit1, exclusion_accuracy });
  });
  return [chance, ...rows];
}

/** The paired gain of `after` over `before`, for the measures of the ranking. */
export function compareEvaluations(
  before: EvaluationRecord,
  after: EvaluationRecord,
  resamples: number,
  seed: number,
): ComparisonRecord {
  const shared = ['mrr', 'ndcg', 'exclusion_accuracy'].filter(
    (name) => before.perInstance[name] !== undefined && after.perInstance[name] !== undefined,
  );
  const gains = shared.map((name): [string, Interval] => [
    name,
    bootstrapDifference(after.perInstance[name] as number[], before.perInstance[name] as number[], { resamples, seed }),
  ]);
  return {
    type: 'comparison',
    step: after.step,
    label: after.label,
    baseline: before.label,
    gains: Object.fromEntries(gains),
  };
}

/**
 * Share of right exclusions when candidates go in this order; undefined stands for a malformed answer, which is not right.
 * Only steps that can go wrong count: among equally relevant candidates every exclusion is right.
 */
export function exclusionAccuracy(instance: RankingInstance, excluded: readonly string[]): number {
  const gradeOf = new Map(instance.candidates.map(({ id }, index) => [id, instance.relevance[index] ?? 0]));
  const remaining = new Set(gradeOf.keys());
  let steps = 0;
  let right = 0;
  for (const id of excluded) {
    const grades = [...remaining].map((shown) => gradeOf.get(shown) as number);
    if (Math.min(...grades) === Math.max(...grades)) break;
    steps++;
    if (isRightExclusion(instance, remaining, id)) right++;
    remaining.delete(id);
  }
  return steps === 0 ? 1 : right / steps;
}

/** The same share of a model's ranking: every first answer counts, a malformed one as wrong. */
function stepAccuracy(instances: readonly RankingInstance[]): (result: RankingResult, index: number) => number {
  return ({ steps }, index) => {
    const instance = instances[index] as RankingInstance;
    const gradeOf = new Map(instance.candidates.map(({ id }, place) => [id, instance.relevance[place] ?? 0]));
    const counted = steps.filter(({ shownIds, attempt }) => {
      return attempt === 0 && new Set(shownIds.map((id) => gradeOf.get(id))).size > 1;
    });
    const right = counted.filter(
      ({ answer, shownIds }) => answer.ok && isRightExclusion(instance, shownIds, answer.ids[0] as string),
    );
    return counted.length === 0 ? 1 : right.length / counted.length;
  };
}

/**
 * The expectations under uniformly random orders. Exclusion accuracy, for one relevant of n candidates: the relevant one goes at
 * step t = 1 .. n - 1 with probability 1/n each, after t - 1 right steps of t, and stays to the end with 1/n.
 */
function chanceRecord(instances: readonly RankingInstance[], config: EvaluationConfig, seed: number): EvaluationRecord {
  const measure = (name: string) => instances.map(({ relevance }) => chanceOf(name, relevance));
  const oneRelevant = instances.every(({ relevance }) => relevance.filter((grade) => grade > 0).length === 1);
  const exclusion = instances.map(({ relevance: { length } }) => {
    const shares = Array.from({ length: length - 1 }, (_, step) => step / (step + 1));
    return (sum(shares) + 1) / length;
  });
  const values = {
    ...{ mrr: measure('MRR'), ndcg: measure(`nDCG@${config.k}`), hit1: measure('Hit@1') },
    ...(oneRelevant ? { exclusion_accuracy: exclusion } : {}),
  };
  const record = makeRecord({ label: 'chance', kind: 'baseline', step: 0, seed }, config, instances, values);
  const exact = ([name, { mean }]: [string, Interval]) => [name, { mean, low: mean, high: mean }] as const;
  return { ...record, measures: Object.fromEntries(Object.entries(record.measures).map(exact)) };
}

type BaselineName = EvaluationConfig['baselines'][number];

const kScorers: Readonly<Record<BaselineName, (sequences: readonly (readonly string[])[], seed: number) => Scorer>> = {
  popularity: (sequences) => popularityScorer(sequences),
  bpr: (sequences, seed) => bprScorer(sequences, { seed }),
  cosine: (sequences) => cosineScorer(sequences),
  'co-occurrence': (sequences) => coOccurrenceScorer(sequences),
};

function testInstances(test: readonly RankingInstance[], { instances }: EvaluationConfig): readonly RankingInstance[] {
  return instances === undefined ? test : test.slice(0, instances);
}

function makeRecord(
  { label, kind, step, seed }: EvaluationPlace,
  { resamples }: EvaluationConfig,
  instances: readonly RankingInstance[],
  values: Readonly<Record<string, readonly number[] | undefined>>,
): EvaluationRecord {
  const known = Object.entries(values).filter((entry): entry is [string, readonly number[]] => entry[1] !== undefined);
  const measures = known.map(([name, list]) => [name, bootstrapMean(list, { resamples, seed })] as const);
  return {
    ...{ type: 'evaluation', step, label, kind, instances: instances.length },
    measures: Object.fromEntries(measures),
    ...meansByTask(instances, known),
    perInstance: Object.fromEntries(known),
  };
}

/** Nothing where all instances are of one task: it would say the same again. */
function meansByTask(
  instances: readonly RankingInstance[],
  values: readonly (readonly [name: string, list: readonly number[]])[],
): { tasks?: Record<string, TaskMeans> } {
  const names = [...new Set(instances.map(({ task }) => task))];
  if (names.length < 2) return {};
  const tasks = names.map((name) => {
    const own = instances.flatMap(({ task }, index) => (task === name ? [index] : []));
    const means = values.map(([measure, list]) => [
      measure,
      sum(own.map((index) => list[index] as number)) / own.length,
    ]);
    return [name, { instances: own.length, means: Object.fromEntries(means) }] as const;
  });
  return { tasks: Object.fromEntries(tasks) };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
