import { describe, expect, it } from 'vitest';
import {
  bestSingleModelScorer,
  bm25Scorer,
  cheapestModelScorer,
  chooseCoOccurrence,
  coOccurrenceScorer,
  largestModelScorer,
  nearestQueryScorer,
  originalOrderScorer,
  rankByScores,
} from '../../lib/eval/index.js';
import { modelSize } from '../../lib/eval/routers.js';
import type { RankingInstance } from '../../lib/types.js';

const models = ['small-7b', 'mid-8x7b', 'big-70b'];

/** Quality by model, and one cost a model for all queries; the middle one is dearest. */
function routed(id: string, query: string, scores: readonly number[], shown = models): RankingInstance {
  const best = Math.max(...scores);
  const scoreOf = new Map(models.map((model, index) => [model, scores[index] as number]));
  return {
    id,
    task: 'Router-Performance',
    context: `Objective: the best answer\n${query}`,
    candidates: shown.map((model) => ({ id: model, text: model })),
    relevance: shown.map((model) => (scoreOf.get(model) === best ? 1 : 0)),
    meta: {
      query,
      scores: Object.fromEntries(shown.map((model) => [model, scoreOf.get(model)])),
      costs: { 'small-7b': 1, 'mid-8x7b': 30, 'big-70b': 20 },
    },
  };
}

const training = [
  routed('t1', 'integral of a polynomial', [0, 0, 1]),
  routed('t2', 'polynomial roots and integrals', [0, 1, 1]),
  routed('t3', 'capital city of Peru', [1, 0, 0]),
  routed('t4', 'which city is a capital', [1, 0, 1]),
];

describe('routers', () => {
  it('rank by means over the training queries', () => {
    const query = routed('q', 'anything', [0, 0, 1], ['mid-8x7b', 'big-70b', 'small-7b']);
    expect(bestSingleModelScorer(training)(query)).toEqual([0.25, 0.75, 0.5]);
    expect(cheapestModelScorer(training)(query)).toEqual([-30, -20, -1]);
    expect(largestModelScorer(training)(query)).toEqual([56, 70, 7]);
  });

  it('know sizes by name, and take the dearest for the largest where a name tells none', () => {
    const names = ['gpt-4', 'LLaMA-2 (7b)', 'mixtral-8x22b-instruct', 'Llama-3.1-8B', 'WizardLM-13B-V1.2', 'mpt7bee'];
    expect(names.map(modelSize)).toEqual([undefined, 7, 176, 8, 13, undefined]);
    const unnamed = training.map((instance) => ({
      ...instance,
      candidates: instance.candidates.map(({ id }) => ({ id: id.replace('-70b', ''), text: id })),
      meta: { ...instance.meta, costs: { 'small-7b': 1, 'mid-8x7b': 30, big: 20 } },
    }));
    const order = rankByScores(
      unnamed[0] as RankingInstance,
      largestModelScorer(unnamed)(unnamed[0] as RankingInstance),
    );
    expect(order).toEqual(['mid-8x7b', 'big', 'small-7b']);
  });

  it('ask the nearest training queries', () => {
    const scorer = nearestQueryScorer(training, { k: 2 });
    // Of "polynomial", "integral", "city" and "capital" only the first two are in the query.
    expect(scorer(routed('q', 'the integral of this polynomial', [0, 0, 1]))).toEqual([0, 0.5, 1]);
    expect(scorer(routed('q', 'a capital city', [1, 0, 0]))).toEqual([1, 0, 0.5]);
    expect(scorer(routed('q', 'zebra', [1, 0, 0]))).toEqual([0.5, 0.25, 0.75]);
    // The first training query is the shorter of the two that hold both words.
    const nearest = nearestQueryScorer(training, { k: 1 });
    expect(nearest(routed('q', 'the integral of this polynomial', [0, 0, 1]))).toEqual([0, 0, 1]);
  });

  it('fall back on the relevance, and refuse what they cannot learn from', () => {
    const bare = training.map(({ meta: _, ...instance }) => instance);
    expect(bestSingleModelScorer(bare)(bare[0] as RankingInstance)).toEqual([0.5, 0.25, 0.75]);
    expect(() => cheapestModelScorer(bare)).toThrow(expect.objectContaining({ code: 'ERR_BASELINE' }));
    for (const scorer of [nearestQueryScorer, bestSingleModelScorer, largestModelScorer, cheapestModelScorer]) {
      expect(() => scorer([])).toThrow(expect.objectContaining({ code: 'ERR_BASELINE' }));
    }
  });
});

describe('text baselines', () => {
  const instance: RankingInstance = {
    id: 'q',
    task: 'Passage-5',
    context: 'growing goldfish',
    candidates: [
      { id: 'a', text: 'The city of Lima' },
      { id: 'b', text: 'A goldfish grows all its life. Goldfish!' },
      { id: 'c', text: 'Fish grow' },
    ],
    relevance: [0, 1, 0],
  };

  it('original order keeps it', () => {
    expect(rankByScores(instance, originalOrderScorer(instance))).toEqual(['a', 'b', 'c']);
  });

  it('BM25 ranks by stems, over the candidates or with the counts of a collection', () => {
    expect(rankByScores(instance, bm25Scorer()(instance))).toEqual(['b', 'c', 'a']);
    const own = instance.candidates.map(({ text }) => text);
    const overOwn = bm25Scorer({ collection: own })(instance);
    bm25Scorer()(instance).forEach((score, at) => {
      expect(overOwn[at]).toBeCloseTo(score, 12);
    });
    // 'goldfish' is in every text of this collection and so tells nothing; 'grow' is new to it.
    const common = bm25Scorer({ collection: Array.from({ length: 50 }, () => 'goldfish goldfish') })(instance);
    expect(common[2]).toBeGreaterThan(common[1] as number);
  });
});

describe('the choice of co-occurrence settings', () => {
  it('finds that only the newest item matters where it does, on training users alone', () => {
    // Item n is always followed by n + 1 of the same chain of 60; users walk along from different places.
    const chain = Array.from({ length: 60 }, (_, item) => `i${item}`);
    const walks = Array.from({ length: 40 }, (_, user) =>
      Array.from({ length: 12 }, (_, step) => chain[(user * 7 + step) % 60] as string),
    );
    const choice = chooseCoOccurrence(walks, { seed: 1, history: 10, negatives: 19 });
    expect(choice.window).toBe(3);
    expect(choice.meanReciprocalRank).toBeGreaterThan(0.9);
    expect(chooseCoOccurrence(walks, { seed: 1, history: 10, negatives: 19 })).toEqual(choice);
    expect(coOccurrenceScorer(walks, choice)).toBeTypeOf('function');
  });

  it('takes a wide window where what belongs together is far apart', () => {
    // Eight rings take turns, so an item's successor on its ring comes eight places later.
    const user = (start: number): string[] =>
      Array.from({ length: 33 }, (_, step) => `${step % 8}-${(start * ((step % 8) + 1) + Math.floor(step / 8)) % 31}`);
    const choice = chooseCoOccurrence(
      Array.from({ length: 80 }, (_, start) => user(start)),
      { seed: 2, history: 24 },
    );
    expect(choice.window).toBeGreaterThanOrEqual(10);
    expect(choice.depth).toBeGreaterThanOrEqual(10);
  });

  it('keeps the defaults when no user is long enough', () => {
    expect(chooseCoOccurrence([['a', 'b']], { seed: 1 })).toEqual({
      window: 20,
      depth: 10,
      decay: 1,
      meanReciprocalRank: Number.NaN,
    });
  });
});
