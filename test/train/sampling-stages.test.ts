/** Data flow of the stages that sample, on the stand-in for the engine. */
import { describe, expect, it } from 'vitest';
import { exclusionProtocol } from '../../lib/protocol/index.js';
import { bestOf } from '../../lib/train/best-of-n.js';
import type { TrainConfig } from '../../lib/train/config.js';
import { loadTrainingData } from '../../lib/train/data-source.js';
import type { TrainOptions } from '../../lib/train/trainer.js';
import { type FakeModel, fakePrepare } from './fake-model.js';
import { events, fake, makeConfig } from './fake-run.js';

type Stage = TrainConfig['stages'][number];

const base = { prompts: 4, group: 4, maxTokens: 40, learningRate: 1 };
const withStage = (stage: Stage): TrainConfig => makeConfig({ stages: [stage], evaluation: undefined as never });
const stepsOf = async (config: TrainConfig, options = fake()) =>
  (await events(config, options)).flatMap((event) => (event.type === 'step' ? [event.record.metrics] : []));
const rewarding = (value: (answer: { ok: boolean }) => number) => ({
  ...exclusionProtocol({ wording: 'compact' }),
  reward: (_: unknown, __: unknown, answer: { ok: boolean }) => ({ value: value(answer), parts: {} }),
});

describe('dynamic sampling', () => {
  const grpo = (rounds: number): TrainConfig =>
    withStage({ kind: 'grpo', steps: 4, ...base, group: 2, dynamicSampling: { rounds } });

  it('fills the batch with groups that have a signal, where rounds allow', async () => {
    const [few, many] = [await stepsOf(grpo(1)), await stepsOf(grpo(30))];
    for (const step of many) {
      expect(step['dynamic_sampling/filled']).toBe(1);
      expect(step['dynamic_sampling/rounds']).toBeLessThan(30);
    }
    expect(few.some((step) => (step['dynamic_sampling/filled'] as number) < 1)).toBe(true);
  });

  it('ends after its rounds when nothing ever has a signal, and counts what it drew', async () => {
    const made: FakeModel[] = [];
    const steps = await stepsOf(grpo(3), { ...fake({}, made), protocol: rewarding(() => 1) as never });
    for (const step of steps) {
      expect(step).toMatchObject({
        'dynamic_sampling/rounds': 3,
        'dynamic_sampling/groups': 16,
        frac_reward_zero_std: 1,
      });
    }
    expect(steps.at(-1)?.steps_without_signal).toBe(4);
    expect(new Set(made[0]?.calls.flatMap(({ promptKeys }) => promptKeys)).size).toBe(4 * 16);
  });

  it('begins with the draws of a run without it, and reports over everything drawn', async () => {
    const [without, with0]: [FakeModel[], FakeModel[]] = [[], []];
    await stepsOf(withStage({ kind: 'grpo', steps: 1, ...base, group: 2 }), fake({}, without));
    const [step] = await stepsOf(
      { ...grpo(3), stages: [{ ...(grpo(3).stages[0] as Stage), steps: 1 }] },
      fake({}, with0),
    );
    const [first, ...refills] = with0[0]?.calls ?? [];
    expect(first?.promptKeys).toEqual(without[0]?.calls[0]?.promptKeys);
    const drawn = 4 + refills.reduce((sum, { promptKeys }) => sum + promptKeys.length, 0);
    expect(step?.['dynamic_sampling/groups']).toBe(drawn);
    expect(((step?.frac_reward_zero_std as number) * drawn) % 1).toBeCloseTo(0, 9);
    expect(refills.length).toBeGreaterThan(0);
  });
});

describe('updates of a step', () => {
  it('are one for each pass and mini-batch', async () => {
    const made: FakeModel[] = [];
    const config = withStage({ kind: 'grpo', steps: 1, ...base, advantage: 'batch', miniBatch: 2, updates: 3 });
    await stepsOf(config, fake({}, made));
    expect(made[0]?.updates.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(made[0]?.losses.map(({ sequences }) => sequences.length)).toEqual([8, 8, 8, 8, 8, 8]);
  });
});

describe('shaping', () => {
  /** The first completion of each group is cut to three tokens, the others are longer. */
  const uneven: TrainOptions['prepare'] = async (...args) => {
    const parts = await fakePrepare()(...args);
    const complete: typeof parts.sampler.complete = async (...request) =>
      (await parts.sampler.complete(...request)).map(([first, ...others]) => {
        const short = first as NonNullable<typeof first>;
        return [{ ...short, tokens: short.tokens.slice(0, 3), logprobs: short.logprobs.slice(0, 3) }, ...others];
      });
    return { ...parts, sampler: Object.assign(Object.create(parts.sampler), { complete }) };
  };

  it('takes the overlong penalty from the reward that advantages are made of, and not from the reward shown', async () => {
    const options = { prepare: uneven, protocol: rewarding(() => 1) as never };
    const [without] = await stepsOf(withStage({ kind: 'grpo', steps: 1, ...base }), options);
    const [shaped] = await stepsOf(
      withStage({ kind: 'grpo', steps: 1, ...base, overlong: { buffer: 37, penalty: 2 } }),
      options,
    );
    expect(without).toMatchObject({ reward: 1, frac_reward_zero_std: 1 });
    expect(shaped).toMatchObject({ reward: 1, frac_reward_zero_std: 0 });
    expect(shaped?.['rewards/overlong/mean']).toBeLessThan(0);
    expect(shaped?.['rewards/overlong/mean']).toBeGreaterThan(-2);
  });
});

describe('best of n', () => {
  const stage = (change: object = {}): TrainConfig => withStage({ kind: 'best-of-n', steps: 3, ...base, ...change });

  it('imitates one completion of each group, the best', async () => {
    expect([bestOf([1, 3, 3]), bestOf([-2]), bestOf([0, 0])]).toEqual([1, 0, 0]);
    const made: FakeModel[] = [];
    const steps = await stepsOf(stage(), { ...fake({}, made), protocol: rewarding(({ ok }) => (ok ? 1 : 0)) as never });
    for (const step of steps) expect(step).toMatchObject({ 'best_of_n/reward': 1, 'best_of_n/kept_fraction': 1 });
    for (const { sequences, weight, advantage } of made[0]?.losses ?? []) {
      expect([sequences.length, advantage]).toEqual([4, undefined]);
      const total = weight.flatMap((row) => [...row]).reduce((sum, value) => sum + value, 0);
      expect(total).toBeCloseTo(1, 5);
    }
  });

  it('leaves out groups whose best earned too little, and makes no update without any', async () => {
    const made: FakeModel[] = [];
    const steps = await stepsOf(stage({ minimumReward: 2 }), {
      ...fake({}, made),
      protocol: rewarding(() => 1) as never,
    });
    expect(steps.at(-1)).toMatchObject({ 'best_of_n/kept_fraction': 0, steps_without_signal: 3 });
    expect(made[0]?.losses).toEqual([]);
  });
});

describe('a mixture of tasks', () => {
  const parts = [
    { weight: 3, task: { name: 'synthetic' as const, users: 16, candidates: 4 } },
    { weight: 1, task: { name: 'synthetic' as const, users: 12, candidates: 3, seed: 77 } },
  ];

  it('holds the instances of every source, each with its own teacher', async () => {
    const data = await loadTrainingData({ mixture: parts }, 5);
    const [first, second] = [await loadTrainingData(parts[0] ?? {}, 5), await loadTrainingData(parts[1] ?? {}, 5)];
    expect(data.train).toEqual([...first.train, ...second.train]);
    expect(data.test).toEqual([...first.test, ...second.test]);
    expect(data.mixture?.map(({ size, weight }) => [size, weight])).toEqual([
      [first.train.length, 3],
      [second.train.length, 1],
    ]);
  });
});
