/** How the cost of a GRPO step and of a ranking grows, on a smaller decoder so that it ends in minutes. */
import type { DTypeName, Model } from '../../../native/index.js';
import { grpoPhases, sumOfWork } from '../accounting.js';
import { exclusionComputedTokens, exclusionPhases } from '../accounting-exclusion.js';
import type { BenchCase, Workload } from '../case.js';
import type { GrowthPoint } from '../growth.js';
import { type BenchShape, benchShapes } from '../shapes.js';
import { exclusionShape, rankingQueries, runExclusion } from './ranking.js';
import { grpoStep } from './training.js';

const GROUPS = [1, 2, 4, 8, 16, 32, 64];
const PROMPTS = [128, 256, 512, 1024, 2048, 4096];
const CANDIDATES = [5, 10, 20, 50, 100];
const COMPLETION = 32;
const QUERIES = 4;
const ANSWER_TOKENS = 8;
/** The better of two, after one that is not timed: other load can only slow a step down. */
const REPEATS = 3;

async function bestSeconds(step: (repeat: number) => Promise<number>): Promise<number> {
  const seconds: number[] = [];
  for (let repeat = 1; repeat <= REPEATS; repeat++) seconds.push(await step(repeat));
  return Math.min(...seconds.slice(1));
}

type PointCost = Omit<GrowthPoint, 'value'>;

interface Series {
  readonly name: string;
  readonly values: readonly number[];
  readonly trains: boolean;
  readonly point: (model: Model, dtype: DTypeName, value: number) => Promise<PointCost>;
}

/** A GRPO step computes its prompt once and every completion. */
async function stepPoint(model: Model, dtype: DTypeName, group: number, prompt: number): Promise<PointCost> {
  const shape = { group, prompt, completion: COMPLETION };
  const seconds = await bestSeconds(async (step) => (await grpoStep(model, shape, step)).seconds[0] as number);
  const operations = sumOfWork(Object.values(grpoPhases(model.config, dtype, shape))).flops;
  return { tokens: prompt + group * COMPLETION, operations, seconds };
}

async function rankingPoint(model: Model, dtype: DTypeName, candidates: number): Promise<PointCost> {
  const shape = exclusionShape(QUERIES, candidates, ANSWER_TOKENS);
  const answers = QUERIES * (candidates - 1) * ANSWER_TOKENS;
  const seconds = await bestSeconds(async (repeat) => {
    // Other tokens each time, so that no keys are left of the time before.
    const queries = rankingQueries(shape, model.config.vocabulary).map((query) => ({
      ...query,
      prefix: [repeat, ...query.prefix.slice(1)],
    }));
    return (await runExclusion(model, shape, queries)).seconds[0] as number;
  });
  const operations = sumOfWork(Object.values(exclusionPhases(model.config, dtype, shape))).flops;
  return { tokens: exclusionComputedTokens(shape) + answers, operations, seconds };
}

const series: readonly Series[] = [
  { name: 'G', values: GROUPS, trains: true, point: (model, dtype, group) => stepPoint(model, dtype, group, 256) },
  { name: 'P', values: PROMPTS, trains: true, point: (model, dtype, prompt) => stepPoint(model, dtype, 8, prompt) },
  { name: 'candidates', values: CANDIDATES, trains: false, point: rankingPoint },
];

function growthCase(shape: BenchShape, { name, values, trains, point }: Series, threads: number): BenchCase {
  const longest = benchShapes[shape].maxPositions;
  return {
    name: `growth with ${name}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
    phases: {},
    tokens: 0,
    threads,
    shape,
    async run({ loadModel, settings }) {
      const model = await loadModel();
      if (trains) await model.enableTraining();
      const points: GrowthPoint[] = [];
      for (const value of values) {
        if (name === 'P' && value + COMPLETION > longest) continue;
        points.push({ value, ...(await point(model, settings.dtype, value)) });
      }
      return { seconds: [points.reduce((sum, { seconds }) => sum + seconds, 0)], details: {}, points };
    },
  };
}

export const growth: Workload = (settings) => {
  const shape = settings.shape === 'tiny' ? 'tiny' : 'small';
  return series.flatMap((one) => [1, 2].map((threads) => growthCase(shape, one, threads)));
};
