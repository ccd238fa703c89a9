import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readInteractions } from '../../lib/data/interactions.js';
import {
  bprScorer,
  coOccurrenceScorer,
  cosineScorer,
  evaluate,
  evaluateRankings,
  evaluateScorer,
  popularityScorer,
  rankByScores,
} from '../../lib/eval/index.js';
import { exclusionProtocol } from '../../lib/protocol/exclusion.js';
import { RandomStream } from '../../lib/random.js';
import { makeRecTask, makeSyntheticTask } from '../../lib/tasks/index.js';
import type { Completion, Prompt, RankingInstance } from '../../lib/types.js';

const movieLens = join(import.meta.dirname, '../../../shared/data/rec/ml-100k');

function instanceOf(
  history: readonly string[],
  candidates: readonly string[],
  target: string,
  id = 'u',
): RankingInstance {
  return {
    id,
    task: 'Rec-Movie',
    context: history.join('\n'),
    candidates: candidates.map((candidate) => ({ id: candidate, text: candidate })),
    relevance: candidates.map((candidate) => (candidate === target ? 1 : 0)),
    meta: { historyItemIds: history },
  };
}

const says = (text: string): Completion => ({
  text,
  stop: 'stop_token',
  tokens: new Int32Array(5),
  logprobs: new Float32Array(5),
});

describe('evaluate', () => {
  const { test } = makeSyntheticTask({ seed: 1, users: 400, testShare: 0.5 });
  const protocol = exclusionProtocol();

  it('gives a perfect oracle everything', async () => {
    const targetOf = new Map(test.map((instance) => [instance.context, instance.meta?.targetItemId]));
    const oracle = (prompt: Prompt): Completion => {
      const text = prompt.messages[1]?.content as string;
      const target = [...targetOf].find(([context]) => text.includes(`${context}\n\n`))?.[1];
      const [label] = [...prompt.labels].find(([, id]) => id !== target) as [string, string];
      return says(`x</think><answer>${label}</answer>`);
    };
    const result = await evaluate(protocol, test, async (prompts) => prompts.map(oracle));
    expect(result.measures.map(({ mean }) => mean)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(result.exclusion?.accuracy).toBe(1);
    expect(result).toMatchObject({
      calls: 200 * 7,
      completionTokens: 200 * 7 * 5,
      malformedRate: 0,
      failedInstances: 0,
    });
    expect(result.exclusionBySize.map(({ size, count }) => [size, count])).toEqual(
      [2, 3, 4, 5, 6, 7, 8].map((size) => [size, 200]),
    );
    expect(result.exclusionBySize[0]?.chance).toBe(0.5);
    expect(result.exclusionBySize[6]?.chance).toBe(0.875);
  });

  it.each(['answers at random', 'says nonsense'])('gives chance to a model that %s', async (kind) => {
    const random = new RandomStream(5, 'policy');
    const result = await evaluate(
      protocol,
      test,
      async (prompts) =>
        prompts.map((prompt) =>
          kind === 'says nonsense'
            ? says('??')
            : says(`x</think><answer>${random.pick([...prompt.labels.keys()])}</answer>`),
        ),
      { measures: ['MRR', 'nDCG@5', 'Hit@5'] },
    );
    for (const { mean, low, high, chance } of result.measures) {
      expect(Math.abs(mean - chance)).toBeLessThan(0.09);
      expect(low < mean && mean < high).toBe(true);
    }
    expect(result.measures[0]?.chance).toBeCloseTo(0.3397, 4);
    if (kind === 'says nonsense') {
      expect(result).toMatchObject({ malformedRate: 1, exclusion: { accuracy: 0 } });
    } else {
      expect(Math.abs((result.exclusion?.accuracy ?? 0) - (result.exclusion?.chance ?? 1))).toBeLessThan(0.04);
    }
  });

  it('counts a failed instance with the worst order', async () => {
    const result = await evaluate(protocol, test.slice(0, 3), async (prompts) => prompts.map(() => says('')), {
      malformed: { policy: 'fail' },
      measures: ['MRR'],
    });
    expect(result).toMatchObject({ failedInstances: 3, calls: 3 });
    expect(result.measures[0]?.mean).toBe(1 / 8);
  });

  it('refuses orders that lack or repeat a candidate, and no instances', () => {
    const instance = instanceOf([], ['a', 'b', 'c'], 'a');
    for (const ranking of [
      ['a', 'b'],
      ['a', 'b', 'b'],
      ['a', 'b', 'x'],
      ['a', 'b', 'c', 'c'],
    ]) {
      expect(() => evaluateRankings([instance], [ranking])).toThrow(
        expect.objectContaining({ code: 'ERR_EVALUATION' }),
      );
    }
    expect(() => evaluateRankings([], [])).toThrow(expect.objectContaining({ code: 'ERR_EVALUATION' }));
  });
});

describe('baselines', () => {
  // a and b go together, c and d go together, d is the most popular.
  const sequences = [['a', 'b'], ['a', 'b'], ['b', 'a', 'd'], ['c', 'd'], ['d', 'c'], ['d']];
  const instance = instanceOf(['a'], ['d', 'c', 'b', 'new'], 'b');

  it('count as computed by hand', () => {
    expect(popularityScorer(sequences)(instance)).toEqual([4, 2, 3, 0]);
    expect(cosineScorer(sequences)(instance)).toEqual([1 / Math.sqrt(12), 0, 3 / Math.sqrt(9), 0]);
    const two = instanceOf(['d', 'a'], ['b', 'c'], 'b');
    // Users: a 3, b 3, c 2, d 4. Newest first: a (weight 1, 3 times near b), then d (weight 1/2, once near b, twice near c).
    const scores = coOccurrenceScorer(sequences)(two);
    expect(scores[0]).toBeCloseTo(3 / Math.sqrt(9) + 1 / Math.sqrt(12) / 2, 14);
    expect(scores[1]).toBeCloseTo(2 / Math.sqrt(8) / 2, 14);
    expect(coOccurrenceScorer(sequences, { depth: 1 })(two)).toEqual([1, 0]);
    // In ['b', 'a', 'd'] b and d are two places apart.
    expect(coOccurrenceScorer(sequences, { window: 1 })(instanceOf(['d'], ['b', 'a'], 'b'))[0]).toBe(0);
    expect(coOccurrenceScorer(sequences, { window: 2 })(instanceOf(['d'], ['b', 'a'], 'b'))[0]).toBeGreaterThan(0);
  });

  it('rank by score, ties in the order of the instance', () => {
    expect(rankByScores(instance, [1, 2, 2, Number.NEGATIVE_INFINITY])).toEqual(['c', 'b', 'd', 'new']);
  });

  it('BPR learns two groups of items, folds new users in, and is seeded', () => {
    const random = new RandomStream(2, 'groups');
    const groups = [0, 1].map((group) => Array.from({ length: 15 }, (_, index) => `${group}-${index}`));
    const users = Array.from({ length: 60 }, (_, user) => random.sample(groups[user % 2] as string[], 8));
    const scorer = bprScorer(users, { factors: 8, epochs: 40, seed: 1 });
    const tests = Array.from({ length: 20 }, (_, user) => {
      const own = random.sample(groups[user % 2] as string[], 6);
      const foreign = random.sample(groups[1 - (user % 2)] as string[], 5);
      return instanceOf(own.slice(0, 5), random.shuffled([own[5] as string, ...foreign]), own[5] as string, `t${user}`);
    });
    const [mrr] = evaluateScorer(scorer, tests, { measures: ['MRR'] });
    expect(mrr?.mean).toBeGreaterThan(0.95);
    const again = bprScorer(users, { factors: 8, epochs: 40, seed: 1 });
    expect(again(tests[0] as RankingInstance)).toEqual(scorer(tests[0] as RankingInstance));
    expect(scorer(instanceOf(['nobody knows'], ['new', '0-1'], 'new'))[0]).toBe(Number.NEGATIVE_INFINITY);
    expect(() => bprScorer([['a']])).toThrow(expect.objectContaining({ code: 'ERR_BASELINE' }));
  });

  it('popularity is near chance on the synthetic task', () => {
    const task = makeSyntheticTask({ seed: 2, users: 800, testShare: 0.5 });
    const scorer = popularityScorer(task.trainSequences.map(({ itemIds }) => itemIds));
    const [mrr] = evaluateScorer(scorer, task.test, { measures: ['MRR'] });
    expect(Math.abs((mrr?.mean ?? 0) - (mrr?.chance ?? 1))).toBeLessThan(0.08);
  });

  it.skipIf(!existsSync(movieLens))(
    'MovieLens 100K: all clear of chance (skipped without the data folder)',
    async () => {
      const task = makeRecTask('Rec-Movie', await readInteractions(movieLens), { seed: 1 });
      const sequences = task.trainSequences.map(({ itemIds }) => itemIds);
      const mrr = (scorer: ReturnType<typeof popularityScorer>): number =>
        100 * (evaluateScorer(scorer, task.test, { measures: ['MRR'] })[0]?.mean ?? 0);
      expect(mrr(popularityScorer(sequences))).toBeGreaterThan(48);
      expect(mrr(cosineScorer(sequences))).toBeGreaterThan(64);
      expect(mrr(coOccurrenceScorer(sequences))).toBeGreaterThan(60);
      expect(mrr(bprScorer(sequences, { epochs: 5 }))).toBeGreaterThan(55);
    },
    120_000,
  );
});
