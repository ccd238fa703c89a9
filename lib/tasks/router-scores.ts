import type { RoutingOutcome, RoutingQuery } from '../data/routing.js';

/** score = effect x quality - cost x cost, with costs scaled to 0 .. 1. */
export interface ObjectiveWeights {
  readonly effect: number;
  readonly cost: number;
}

export const routerObjectives = {
  'Router-Performance': { effect: 1, cost: 0 },
  'Router-Balance': { effect: 0.5, cost: 0.5 },
  'Router-Cost': { effect: 0.2, cost: 0.8 },
} as const satisfies Readonly<Record<string, ObjectiveWeights>>;

export type RouterTaskName = keyof typeof routerObjectives;
export const routerTaskNames = Object.keys(routerObjectives) as readonly RouterTaskName[];

/** The objective as the first line of every context: one query under two objectives must not be one prompt with two answers. */
export function objectiveLine({ effect, cost }: ObjectiveWeights): string {
  let words = 'quality and low cost count the same';
  if (cost === 0) words = 'the best answer, whatever it costs';
  else if (effect === 0) words = 'the lowest cost, whatever the quality';
  else if (cost > effect) words = 'low cost counts more than quality';
  else if (cost < effect) words = 'quality counts more than low cost';
  return `Objective: ${words} (score = ${effect} x quality - ${cost} x cost, both from 0 to 1)`;
}

/** Scales a cost of a benchmark to 0 .. 1. */
export type CostScale = (benchmark: string, cost: number) => number;

/**
 * Min-max within a benchmark, over training queries alone: nothing of a test query may reach a training label. A test cost beyond
 * the training range is scaled beyond 0 .. 1; a benchmark of one cost, or that training lacks, gives 0.
 */
export function minMaxScale(training: readonly RoutingQuery[]): CostScale {
  const ranges = new Map<string, { least: number; most: number }>();
  for (const { benchmark, outcomes } of training) {
    const range = ranges.get(benchmark) ?? { least: Number.POSITIVE_INFINITY, most: Number.NEGATIVE_INFINITY };
    ranges.set(benchmark, range);
    for (const { cost } of outcomes.values()) {
      if (cost === undefined) continue;
      range.least = Math.min(range.least, cost);
      range.most = Math.max(range.most, cost);
    }
  }
  return (benchmark, cost) => {
    const range = ranges.get(benchmark);
    return range && range.most > range.least ? (cost - range.least) / (range.most - range.least) : 0;
  };
}

/** A model's score on a query; undefined where a cell that the weights ask for is empty. */
export function scoreOf(
  outcome: RoutingOutcome | undefined,
  benchmark: string,
  weights: ObjectiveWeights,
  scale: CostScale,
): number | undefined {
  const effect = weights.effect === 0 ? 0 : outcome?.effect;
  const cost = weights.cost === 0 ? 0 : outcome?.cost;
  if (effect === undefined || cost === undefined) return undefined;
  return weights.effect * effect - weights.cost * (weights.cost === 0 ? 0 : scale(benchmark, cost));
}

/** Mean cost of a request by model, over the queries that tell it. */
export function meanCosts(queries: readonly RoutingQuery[]): Map<string, number> {
  const sums = new Map<string, { sum: number; count: number }>();
  for (const { outcomes } of queries) {
    for (const [model, { cost }] of outcomes) {
      if (cost === undefined) continue;
      const entry = sums.get(model) ?? { sum: 0, count: 0 };
      sums.set(model, { sum: entry.sum + cost, count: entry.count + 1 });
    }
  }
  return new Map([...sums].map(([model, { sum, count }]) => [model, sum / count]));
}
