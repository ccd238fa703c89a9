import { WinnowError } from '../errors.js';
import { RandomStream } from '../random.js';
import { historyOf, type Scorer, type Sequences } from './baselines.js';

export interface BprOptions {
  /** Default 32. */
  readonly factors?: number;
  /** Passes over the training interactions; default 30. */
  readonly epochs?: number;
  /** Default 0.05. */
  readonly learningRate?: number;
  /** L2, on user factors, item factors and item biases; default 0.01. */
  readonly regularisation?: number;
  /** Passes over a new user's history, with the items fixed; default 20. */
  readonly foldInEpochs?: number;
  /** Default 0. */
  readonly seed?: number;
}

interface Model {
  readonly factors: number;
  readonly itemIndex: ReadonlyMap<string, number>;
  /** [items, factors] */
  readonly items: Float64Array;
  /** [items] */
  readonly biases: Float64Array;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

function margin(model: Model, user: Float64Array, positive: number, negative: number): number {
  const { factors, items, biases } = model;
  let sum = (biases[positive] as number) - (biases[negative] as number);
  for (let f = 0; f < factors; f++) {
    sum +=
      (user[f] as number) * ((items[positive * factors + f] as number) - (items[negative * factors + f] as number));
  }
  return sum;
}

/** One ascent step of ln sigmoid(margin) - L2 on the user, and on the two items unless they are fixed. */
function step(
  model: Model,
  user: Float64Array,
  positive: number,
  negative: number,
  options: Required<BprOptions>,
  itemsFixed: boolean,
): void {
  const { factors, items, biases } = model;
  const { learningRate: rate, regularisation: l2 } = options;
  const slope = sigmoid(-margin(model, user, positive, negative));
  for (let f = 0; f < factors; f++) {
    const p = positive * factors + f;
    const n = negative * factors + f;
    const u = user[f] as number;
    const itemP = items[p] as number;
    const itemN = items[n] as number;
    user[f] = u + rate * (slope * (itemP - itemN) - l2 * u);
    if (!itemsFixed) {
      items[p] = itemP + rate * (slope * u - l2 * itemP);
      items[n] = itemN + rate * (-slope * u - l2 * itemN);
    }
  }
  if (!itemsFixed) {
    biases[positive] = (biases[positive] as number) + rate * (slope - l2 * (biases[positive] as number));
    biases[negative] = (biases[negative] as number) + rate * (-slope - l2 * (biases[negative] as number));
  }
}

/** An item that the user did not take, uniformly; a user who took everything has none. */
function drawNegative(random: RandomStream, itemCount: number, taken: ReadonlySet<number>): number | undefined {
  if (taken.size >= itemCount) return undefined;
  let item = random.integer(itemCount);
  while (taken.has(item)) item = random.integer(itemCount);
  return item;
}

/** Small random factors: all zeros would be a fixed point. */
function randomFactors(random: RandomStream, length: number): Float64Array {
  return Float64Array.from({ length }, () => 0.1 * random.normal());
}

function train(sequences: Sequences, itemIds: readonly string[], options: Required<BprOptions>): Model {
  const random = new RandomStream(options.seed, 'bpr', 'train');
  const itemIndex = new Map(itemIds.map((id, index) => [id, index]));
  const model: Model = {
    factors: options.factors,
    itemIndex,
    items: randomFactors(random, itemIds.length * options.factors),
    biases: new Float64Array(itemIds.length),
  };
  const users = sequences.map(() => randomFactors(random, options.factors));
  const taken = sequences.map((sequence) => new Set(sequence.map((id) => itemIndex.get(id) as number)));
  const pairs = taken.flatMap((items, user) => [...items].map((item) => [user, item] as const));
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    for (const [user, item] of random.shuffled(pairs)) {
      const negative = drawNegative(random, itemIds.length, taken[user] as Set<number>);
      if (negative !== undefined) step(model, users[user] as Float64Array, item, negative, options, false);
    }
  }
  return model;
}

/** Factors of a user whom training did not see, from the past items alone, with the items fixed. */
function foldIn(model: Model, history: readonly string[], key: string, options: Required<BprOptions>): Float64Array {
  const random = new RandomStream(options.seed, 'bpr', 'fold-in', key);
  const user = randomFactors(random, model.factors);
  const known = history.flatMap((id) => model.itemIndex.get(id) ?? []);
  const taken = new Set(known);
  for (let epoch = 0; epoch < options.foldInEpochs; epoch++) {
    for (const item of random.shuffled(known)) {
      const negative = drawNegative(random, model.biases.length, taken);
      if (negative !== undefined) step(model, user, item, negative, options, true);
    }
  }
  return user;
}

/**
 * Matrix factorisation by Bayesian personalised ranking (Rendle et al., 2009): stochastic ascent of ln sigmoid(x_ui - x_uj)
 * over (user, item taken, item not taken), with item biases. Trained on the training users alone; a test user's factors are
 * fitted to the history that the instance shows. An item that training never saw scores the least.
 *
 * @throws WinnowError ERR_BASELINE without training data
 */
export function bprScorer(sequences: Sequences, options: BprOptions = {}): Scorer {
  const settings: Required<BprOptions> = {
    factors: 32,
    epochs: 30,
    learningRate: 0.05,
    regularisation: 0.01,
    foldInEpochs: 20,
    seed: 0,
    ...options,
  };
  const itemIds = [...new Set(sequences.flat())];
  if (itemIds.length < 2) {
    throw new WinnowError('ERR_BASELINE', 'BPR cannot be trained', {
      expected: 'sequences with at least 2 different items',
      received: String(itemIds.length),
    });
  }
  const model = train(sequences, itemIds, settings);
  return (instance) => {
    const user = foldIn(model, historyOf(instance), instance.id, settings);
    return instance.candidates.map(({ id }) => {
      const item = model.itemIndex.get(id);
      if (item === undefined) return Number.NEGATIVE_INFINITY;
      let score = model.biases[item] as number;
      for (let f = 0; f < model.factors; f++) {
        score += (user[f] as number) * (model.items[item * model.factors + f] as number);
      }
      return score;
    });
  };
}
