import { WinnowError } from '../errors.js';
import { Bm25Index } from '../text/bm25.js';
import { englishTerms } from '../text/english-analysis.js';
import type { RankingInstance } from '../types.js';
import type { Scorer } from './baselines.js';
import { queryOf } from './bm25-scorer.js';

/** What the models scored on a training query: the task's scores where the builder notes them, else the relevance. */
function scoresOf({ meta, candidates, relevance }: RankingInstance): ReadonlyMap<string, number> {
  const noted = meta?.scores;
  if (typeof noted === 'object' && noted !== null) return new Map(Object.entries(noted as Record<string, number>));
  return new Map(candidates.map(({ id }, index) => [id, relevance[index] ?? 0]));
}

function costsOf({ id, meta }: RankingInstance): ReadonlyMap<string, number> {
  const noted = meta?.costs;
  if (typeof noted !== 'object' || noted === null) {
    throw new WinnowError('ERR_BASELINE', `instance ${id} tells no costs`, {
      expected: 'instances of a routing task that `winnow data build` made',
      received: 'none',
    });
  }
  const entries = Object.entries(noted as Record<string, number | null>);
  return new Map(entries.filter((entry): entry is [string, number] => entry[1] !== null));
}

function meansByModel(tables: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const sums = new Map<string, { sum: number; count: number }>();
  for (const table of tables) {
    for (const [model, value] of table) {
      const entry = sums.get(model) ?? { sum: 0, count: 0 };
      sums.set(model, { sum: entry.sum + value, count: entry.count + 1 });
    }
  }
  return new Map([...sums].map(([model, { sum, count }]) => [model, sum / count]));
}

function requireTraining(training: readonly RankingInstance[]): void {
  if (training.length > 0) return;
  throw new WinnowError('ERR_BASELINE', 'a router cannot be learned', {
    expected: 'training instances of the routing task',
    received: 'none',
  });
}

const byTable =
  (values: ReadonlyMap<string, number>): Scorer =>
  ({ candidates }) =>
    candidates.map(({ id }) => values.get(id) ?? Number.NEGATIVE_INFINITY);

/** Every query gets the models in the order of their mean score on training queries: the best single model first. */
export function bestSingleModelScorer(training: readonly RankingInstance[]): Scorer {
  requireTraining(training);
  return byTable(meansByModel(training.map(scoresOf)));
}

/** Every query gets the models in the order of their mean cost on training queries, the lowest first. */
export function cheapestModelScorer(training: readonly RankingInstance[]): Scorer {
  requireTraining(training);
  return byTable(new Map([...meansByModel(training.map(costsOf))].map(([model, cost]) => [model, -cost])));
}

/** Billions of parameters that a name tells, `8x7b` as 56; undefined when it tells none. */
export function modelSize(name: string): number | undefined {
  const [, experts, size] = /(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z0-9])/i.exec(name) ?? [];
  return size === undefined ? undefined : Number(experts ?? 1) * Number(size);
}

/** Every query gets the largest model first: by the sizes in the names where all tell one, else by the mean training cost. */
export function largestModelScorer(training: readonly RankingInstance[]): Scorer {
  requireTraining(training);
  const models = [...new Set(training.flatMap(({ candidates }) => candidates.map(({ id }) => id)))];
  const sizes = models.map((model) => [model, modelSize(model)] as const);
  const known = sizes.filter((entry): entry is [string, number] => entry[1] !== undefined);
  return byTable(known.length === models.length ? new Map(known) : meansByModel(training.map(costsOf)));
}

/**
 * k-nearest-neighbour router: a model's mean score on the training queries that are nearest by BM25. A model without a score
 * there, and a query without a neighbour, get the means over all training queries.
 *
 * @param k default 10
 */
export function nearestQueryScorer(training: readonly RankingInstance[], { k = 10 } = {}): Scorer {
  requireTraining(training);
  const tables = training.map(scoresOf);
  const overall = meansByModel(tables);
  const index = new Bm25Index(training.map((instance) => englishTerms(queryOf(instance))));
  return (instance) => {
    const similarity = index.scores(englishTerms(queryOf(instance)));
    const found = [...similarity.keys()].filter((at) => (similarity[at] as number) > 0);
    found.sort((a, b) => (similarity[b] as number) - (similarity[a] as number) || a - b);
    const means = meansByModel(found.slice(0, k).map((at) => tables[at] as ReadonlyMap<string, number>));
    return instance.candidates.map(({ id }) => means.get(id) ?? overall.get(id) ?? Number.NEGATIVE_INFINITY);
  };
}
