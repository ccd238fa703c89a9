import { describe, expect, it } from 'vitest';
import { RandomStream } from '../../lib/random.js';
import { resolveConfig } from '../../lib/train/config.js';
import { loadTrainingData } from '../../lib/train/data-source.js';
import { compareEvaluations, evaluateBaselines, exclusionAccuracy } from '../../lib/train/evaluation.js';
import type { EvaluationRecord } from '../../lib/train/events.js';
import type { RankingInstance } from '../../lib/types.js';
import { makeConfig } from './fake-run.js';

const instance = (relevance: number[]): RankingInstance => ({
  ...{ id: 'i', task: 't', context: '', relevance },
  candidates: relevance.map((_, index) => ({ id: String(index), text: String(index) })),
});

describe('exclusionAccuracy', () => {
  it('counts right exclusions up to the step where nothing can go wrong any more', () => {
    expect(exclusionAccuracy(instance([0, 1, 0, 0]), ['0', '2', '3'])).toBe(1);
    expect(exclusionAccuracy(instance([0, 1, 0, 0]), ['0', '2', '1'])).toBeCloseTo(2 / 3, 12);
    // The relevant one is gone after the first step: the others are equal.
    expect(exclusionAccuracy(instance([0, 1, 0, 0]), ['1', '2', '3'])).toBe(0);
    // Graded: excluding 2 while a 0 remains is wrong, excluding 1 when only 1 and 2 remain is right.
    expect(exclusionAccuracy(instance([0, 1, 2]), ['2', '0', '1'])).toBe(0.5);
    expect(exclusionAccuracy(instance([0, 1, 2]), ['0', '1'])).toBe(1);
    expect(exclusionAccuracy(instance([1, 1]), ['0'])).toBe(1);
  });
});

describe('evaluateBaselines', () => {
  it('gives exact chance, equal to the mean over many random orders', async () => {
    const config = resolveConfig(makeConfig());
    const evaluation = config.evaluation as NonNullable<typeof config.evaluation>;
    const data = await loadTrainingData(config.data, 1);
    const [chance] = evaluateBaselines({ data } as never, evaluation, 1);
    const five = instance([0, 0, 1, 0, 0]);
    const random = new RandomStream(1, 'orders');
    const draws = Array.from({ length: 20_000 }, () =>
      exclusionAccuracy(five, random.shuffled(['0', '1', '2', '3', '4']).slice(0, 4)),
    );
    const mean = draws.reduce((sum, value) => sum + value, 0) / draws.length;
    expect(chance?.measures.exclusion_accuracy?.mean).toBeCloseTo(mean, 2);
    expect(chance?.measures.mrr?.mean).toBeCloseTo((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5, 12);
    expect(chance?.measures.mrr?.low).toBe(chance?.measures.mrr?.high);
  });
});

describe('means by task', () => {
  it('stand where there are several tasks, and are those of the instances of each', () => {
    const config = resolveConfig(makeConfig());
    const evaluation = config.evaluation as NonNullable<typeof config.evaluation>;
    const [two, five] = [instance([1, 0]), { ...instance([0, 0, 1, 0, 0]), task: 'u' }];
    const data = { test: [two, five, two], trainSequences: [] };
    const [chance] = evaluateBaselines({ data } as never, evaluation, 1);
    const ofFive = (1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5;
    expect(chance?.tasks?.t).toMatchObject({ instances: 2, means: { mrr: 0.75 } });
    expect(chance?.tasks?.u?.instances).toBe(1);
    expect(chance?.tasks?.u?.means.mrr).toBeCloseTo(ofFive, 12);
    expect(chance?.measures.mrr?.mean).toBeCloseTo((0.75 * 2 + ofFive) / 3, 12);
    const one = evaluateBaselines({ data: { ...data, test: [two, two] } } as never, evaluation, 1);
    expect(one[0]).not.toHaveProperty('tasks');
  });
});

describe('compareEvaluations', () => {
  it('pairs by instance: a constant gain has an interval without width', () => {
    const record = (label: string, mrr: number[]): EvaluationRecord => ({
      ...{ type: 'evaluation', step: 1, label, kind: 'model', instances: mrr.length, measures: {} },
      perInstance: { mrr },
    });
    const before = record('before', [0.1, 0.9, 0.3, 0.5]);
    const after = record('after', [0.35, 1.15, 0.55, 0.75]);
    const { gains, label, baseline } = compareEvaluations(before, after, 100, 1);
    expect([label, baseline, Object.keys(gains)]).toEqual(['after', 'before', ['mrr']]);
    for (const value of Object.values(gains.mrr ?? {})) expect(value).toBeCloseTo(0.25, 12);
  });
});
