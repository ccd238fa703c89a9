import { WinnowError } from '../errors.js';
import type { Model, NativeModelConfig, Session } from '../native/index.js';
import { RandomStream } from '../random.js';
import type { RankingInstance } from '../types.js';
import { historyOf, type Scorer, type Sequences } from './baselines.js';

export interface SasrecOptions {
  /** Default 64. */
  readonly width?: number;
  /** Default 2. */
  readonly layers?: number;
  /** Default 2. */
  readonly heads?: number;
  /** Items of a stretch of a user's sequence; default 200. */
  readonly length?: number;
  /** Steps of AdamW; default 250. More overfits on MovieLens 100K. */
  readonly steps?: number;
  /** Stretches a step; default 32. */
  readonly batch?: number;
  /** Constant after a warm-up of 20 steps; default 0.002. */
  readonly learningRate?: number;
  /** Default 0.1. */
  readonly weightDecay?: number;
  /** Default 0. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

/** Before the first item of every sequence, so that the first item is predicted too. */
const startToken = 0;

function modelConfig(vocabulary: number, options: { width: number; layers: number; heads: number; length: number }) {
  const { width, layers, heads, length } = options;
  const config: NativeModelConfig = {
    vocabulary,
    width,
    layers,
    heads,
    kvHeads: heads,
    headDim: width / heads,
    feedForward: 2 * width,
    maxPositions: length + 2,
    normEpsilon: 1e-6,
    qkvBias: false,
    outputBias: false,
    qkNorm: true,
    tiedHead: true,
    ropeTheta: 10_000,
    ropeScaling: 'none',
    ropeFactor: 1,
    ropeLowFrequency: 1,
    ropeHighFrequency: 4,
    ropeOriginalPositions: length + 2,
  };
  return config;
}

/** A stretch of a user's tokens, any start as likely as another; a whole sequence where it is short. */
function drawStretch(tokens: readonly number[], length: number, random: RandomStream): Int32Array {
  const start = tokens.length > length ? random.integer(tokens.length - length + 1) : 0;
  return Int32Array.from([startToken, ...tokens.slice(start, start + length)]);
}

async function trainModel(
  model: Model,
  users: readonly (readonly number[])[],
  options: Required<Omit<SasrecOptions, 'signal'>>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { steps, batch, length, learningRate, weightDecay, seed } = options;
  const control = signal ? { signal } : {};
  await model.enableTraining(control);
  for (let step = 1; step <= steps; step++) {
    const random = new RandomStream(seed, 'sasrec', 'batch', step);
    const sequences = Array.from({ length: batch }, () => drawStretch(random.pick(users), length, random));
    const targets = sequences.reduce((sum, sequence) => sum + sequence.length - 1, 0);
    const weight = sequences.map((sequence) => Float32Array.from(sequence, (_, at) => (at === 0 ? 0 : 1 / targets)));
    await model.accumulateGradients({ kind: 'supervised', sequences, weight, maxBatchTokens: 2048 }, control);
    await model.applyGradients(
      { learningRate: learningRate * Math.min(1, step / 20), weightDecay, beta2: 0.98, step },
      control,
    );
  }
}

/** Log-probabilities of the candidates after each history. An item that training never saw scores the least. */
async function scoreInstances(
  model: Model,
  tokenOf: ReadonlyMap<string, number>,
  instances: readonly RankingInstance[],
  length: number,
): Promise<Map<string, readonly number[]>> {
  const scores = new Map<string, readonly number[]>();
  for (const instance of instances) {
    const past = historyOf(instance).flatMap((id) => tokenOf.get(id) ?? []);
    const known = instance.candidates.flatMap(({ id }) => tokenOf.get(id) ?? []);
    const sequences = known.map((token) => Int32Array.from([startToken, ...past.slice(-length), token]));
    const logprobs = sequences.length === 0 ? [] : await model.score({ sequences });
    const byToken = new Map(known.map((token, index) => [token, logprobs[index]?.at(-1) as number]));
    scores.set(
      instance.id,
      instance.candidates.map(({ id }) => byToken.get(tokenOf.get(id) ?? -1) ?? Number.NEGATIVE_INFINITY),
    );
  }
  return scores;
}

/**
 * SASRec (Kang and McAuley, 2018) on this engine: a causal decoder over item tokens, trained to name the next item. Two things
 * differ from the paper: the loss is the cross-entropy over all items rather than one sampled negative (Klenitskiy and Vasilev,
 * 2023, found it the stronger), and positions are rotary. Trained on the training users alone; a test user is the history shown.
 *
 * @param instances that the scorer will be asked about
 * @throws WinnowError ERR_BASELINE without training data, and those of the engine
 */
export async function sasrecScorer(
  session: Session,
  sequences: Sequences,
  instances: readonly RankingInstance[],
  { signal, ...given }: SasrecOptions = {},
): Promise<Scorer> {
  const options = {
    width: 64,
    layers: 2,
    heads: 2,
    length: 200,
    steps: 250,
    batch: 32,
    learningRate: 2e-3,
    weightDecay: 0.1,
    seed: 0,
    ...given,
  };
  const items = [...new Set(sequences.flat())];
  if (items.length < 2) {
    throw new WinnowError('ERR_BASELINE', 'SASRec cannot be trained', {
      expected: 'sequences with at least 2 different items',
      received: String(items.length),
    });
  }
  const tokenOf = new Map(items.map((item, index) => [item, index + 1]));
  const users = sequences
    .filter(({ length }) => length > 0)
    .map((sequence) => sequence.map((item) => tokenOf.get(item) as number));
  const model = await session.createModel({
    config: modelConfig(items.length + 1, options),
    dtype: 'f32',
    source: { kind: 'random', seed: options.seed, standardDeviation: 0.02 },
  });
  try {
    await trainModel(model, users, options, signal);
    const scores = await scoreInstances(model, tokenOf, instances, options.length);
    return ({ id, candidates }) => scores.get(id) ?? candidates.map(() => Number.NEGATIVE_INFINITY);
  } finally {
    await model.dispose();
  }
}
