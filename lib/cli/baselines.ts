/** The baselines that stand beside a model: exact chance, and scorers learned from the training users where they are known. */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { loadInstances } from '../data/index.js';
import { readJsonLines } from '../data/jsonl.js';
import { WinnowError } from '../errors.js';
import {
  bestSingleModelScorer,
  bm25Scorer,
  bprScorer,
  cheapestModelScorer,
  coOccurrenceScorer,
  cosineScorer,
  evaluateScorer,
  largestModelScorer,
  type MeasureResult,
  nearestQueryScorer,
  originalOrderScorer,
  popularityScorer,
  type Scorer,
  type Sequences,
} from '../eval/index.js';
import type { RankingInstance } from '../types.js';

/** The item ids of each training user, from a file of lines {"userId", "itemIds"} as `data build` writes it. */
export async function readTrainSequences(path: string): Promise<Sequences> {
  const sequences: string[][] = [];
  for await (const { number, value } of readJsonLines(path)) {
    const itemIds = (value as { itemIds?: unknown } | null)?.itemIds;
    if (!Array.isArray(itemIds) || !itemIds.every((id) => typeof id === 'string'))
      throw new WinnowError('ERR_DATA_JSONL', `${path}:${number} is no sequence`, {
        expected: '{"userId": string, "itemIds": [string, ...]}',
        received: JSON.stringify(value).slice(0, 60),
      });
    sequences.push(itemIds as string[]);
  }
  return sequences;
}

/** Where `data build` puts the sequences of a data file; undefined when there are none. */
export function sequencesBeside(dataPath: string): string | undefined {
  const path = join(dirname(dataPath), 'train-sequences.jsonl');
  return existsSync(path) ? path : undefined;
}

/** What a table of baselines can be learned from; nothing of it may be of the instances that are measured. */
export interface BaselineData {
  /** Items of the training users, for recommendation. */
  readonly sequences?: Sequences;
  /** Instances of training queries, for routing. */
  readonly training?: readonly RankingInstance[];
}

/**
 * What lies beside a data file that `data build` wrote: the training users' sequences, and for routing the training instances.
 *
 * @param sequencesPath instead of the file beside it
 */
export async function readBaselineData(
  dataPath: string,
  task: string,
  sequencesPath: string | undefined = sequencesBeside(dataPath),
): Promise<BaselineData> {
  const trainPath = join(dirname(dataPath), 'train.jsonl');
  const routes = task.startsWith('Router-') && existsSync(trainPath) && resolve(trainPath) !== resolve(dataPath);
  return {
    ...(sequencesPath === undefined ? {} : { sequences: await readTrainSequences(sequencesPath) }),
    ...(routes ? { training: await loadInstances(trainPath) } : {}),
  };
}

/** The scorers that make sense for a task, by its name and by what there is to learn from; BM25 counts over all candidates. */
export function baselineScorers(
  instances: readonly RankingInstance[],
  { sequences, training }: BaselineData,
  seed: number,
): Record<string, Scorer> {
  const task = instances[0]?.task ?? '';
  // Counts over one query's candidates say little: most of them hold the query's terms.
  const collection = [...new Set(instances.flatMap(({ candidates }) => candidates.map(({ text }) => text)))];
  const scorers: Record<string, Scorer> = {
    'original order': originalOrderScorer,
    BM25: bm25Scorer({ collection }),
  };
  if (sequences && sequences.length > 0) {
    Object.assign(scorers, {
      popularity: popularityScorer(sequences),
      'item cosine': cosineScorer(sequences),
      'co-occurrence': coOccurrenceScorer(sequences),
      BPR: bprScorer(sequences, { seed }),
    });
  }
  if (task.startsWith('Router-') && training && training.length > 0) {
    const hasCosts = training.every(({ meta }) => typeof meta?.costs === 'object');
    Object.assign(scorers, {
      'best single model': bestSingleModelScorer(training),
      ...(hasCosts
        ? { 'largest model': largestModelScorer(training), 'cheapest model': cheapestModelScorer(training) }
        : {}),
      'nearest queries': nearestQueryScorer(training),
    });
  }
  return scorers;
}

/** Each baseline's measures on the same instances; names are the rows of the table. */
export function evaluateBaselines(
  instances: readonly RankingInstance[],
  data: BaselineData | Sequences,
  seed: number,
): Readonly<Record<string, readonly MeasureResult[]>> {
  const known: BaselineData = 'length' in data ? { sequences: data } : data;
  const scorers = baselineScorers(instances, known, seed);
  return Object.fromEntries(
    Object.entries(scorers).map(([name, scorer]) => [name, evaluateScorer(scorer, instances, { bootstrap: { seed } })]),
  );
}
