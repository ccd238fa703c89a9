import { describe, expect, it } from 'vitest';
import { exclusionProtocol } from '../../lib/protocol/index.js';
import { type TrainOptions, train } from '../../lib/train/trainer.js';
import { type FakeModel, fakePrepare } from './fake-model.js';
import { events, fake, file, makeConfig } from './fake-run.js';

describe('a run', () => {
  it('tells its events in order, by iterating or by awaiting', async () => {
    const config = makeConfig();
    const all = await events(config, fake());
    const kinds = all.map((event) =>
      event.type === 'step' ? `${event.record.kind} ${event.record.step}` : event.type,
    );
    expect(kinds.filter((kind) => !/evaluat|comparison/.test(kind))).toEqual([
      ...['start', 'sft 1', 'sft 2', 'checkpoint', 'sft 3', 'checkpoint', 'grpo 4', 'checkpoint', 'grpo 5', 'grpo 6'],
      ...['checkpoint', 'grpo 7', 'grpo 8', 'checkpoint', 'grpo 9', 'checkpoint', 'done'],
    ]);
    const labels = all.flatMap((event) => (event.type === 'evaluation' ? [event.record.label] : []));
    expect(labels).toEqual([
      ...[
        'chance',
        'popularity',
        'untrained',
        'warm-up step 2',
        'after warm-up',
        'grpo step 2',
        'grpo step 4',
        'after grpo',
      ],
    ]);
    const result = await train(makeConfig(), fake());
    expect(result).toMatchObject({ status: 'completed', step: 9 });
    expect(result.comparisons.map(({ label, baseline }) => [label, baseline])).toEqual([
      ['after warm-up', 'untrained'],
      ['after grpo', 'after warm-up'],
    ]);
  });

  it('gives the result of an iterated run to whoever awaits it, and can be iterated once', async () => {
    const run = train(makeConfig(), fake());
    for await (const _ of run);
    expect((await run).status).toBe('completed');
    expect(() => run[Symbol.asyncIterator]()).toThrowError(expect.objectContaining({ code: 'ERR_RUN_STARTED' }));
  });

  it('writes metrics that two runs agree on byte for byte, times apart', async () => {
    const [a, b] = [makeConfig(), makeConfig()];
    await train(a, fake());
    await train(b, fake());
    expect(file(a, 'metrics.jsonl')).toBe(file(b, 'metrics.jsonl'));
    expect(file(a, 'samples.jsonl')).toBe(file(b, 'samples.jsonl'));
    expect(file(a, 'timing.jsonl').split('\n')).toHaveLength(10);
    const c = makeConfig({ seed: 4 });
    await train(c, fake());
    expect(file(c, 'metrics.jsonl')).not.toBe(file(a, 'metrics.jsonl'));
  });

  it('learns: the reward of the fake policy rises', async () => {
    const config = makeConfig({ evaluation: undefined as never });
    const stages = [{ kind: 'grpo', steps: 40, prompts: 8, group: 8, maxTokens: 40, learningRate: 20 }] as const;
    // Only the last label shown is ever right, so that one preference can learn it.
    const protocol = exclusionProtocol({ wording: 'compact' });
    const lastLabel = {
      ...protocol,
      reward: (
        _: unknown,
        prompt: { labels: ReadonlyMap<string, string> },
        answer: { ok: boolean; ids?: readonly string[] },
      ) => ({
        value: answer.ok && answer.ids?.[0] === [...prompt.labels.values()].at(-1) ? 1 : 0,
        parts: {},
      }),
    };
    const all = await events({ ...config, stages: [...stages] }, { ...fake(), protocol: lastLabel as never });
    const rewards = all.flatMap((event) => (event.type === 'step' ? [event.record.metrics.reward as number] : []));
    const mean = (list: number[]) => list.reduce((sum, value) => sum + value, 0) / list.length;
    expect(mean(rewards.slice(-8)) - mean(rewards.slice(0, 8))).toBeGreaterThan(0.3);
  });

  it('counts the updates of each stage for the bias correction, and starts each with moments of zero', async () => {
    const made: FakeModel[] = [];
    const config = makeConfig();
    await train(config, fake({}, made));
    const updates = made[0]?.updates ?? [];
    const reset = updates.findIndex(({ learningRate }) => learningRate === 0);
    expect(updates[reset]).toMatchObject({ beta1: 0, beta2: 0, weightDecay: 0 });
    expect(updates.slice(0, reset).map(({ step }) => step)).toEqual([1, 2, 3]);
    const later = updates.slice(reset + 1).map(({ step }) => step);
    expect(later.length).toBeGreaterThan(2);
    expect(later).toEqual(later.map((_, index) => index + 1));
  });

  it('asks the engine in both kinds of stage for what the settings say, and drops other entries at every update', async () => {
    const optimizer = { beta1: 0.8, beta2: 0.95, epsilon: 1e-6, weightDecay: 0.2, maxGradientNorm: 0.5 };
    const stages = makeConfig().stages.map((stage) => ({
      ...{ ...stage, ...optimizer, weightDecayGroups: ['norm', 'embedding'] as const },
      ...{ recompute: 'layer' as const, headChunkRows: 48 },
      ...(stage.kind === 'grpo' ? { updates: 2 } : {}),
    }));
    const made: FakeModel[] = [];
    await train(makeConfig({ stages: stages as never }), fake({}, made));
    const { losses, updates } = made[0] as FakeModel;
    // Between stages an update of rate 0 clears the moments.
    const steps = updates.filter(({ learningRate }) => learningRate > 0);
    expect(steps.length).toBeGreaterThan(9);
    for (const update of steps) expect(update).toMatchObject({ ...optimizer, decayGroups: ['norm', 'embedding'] });
    for (const loss of losses) expect(loss).toMatchObject({ recompute: 'layer', headChunkRows: 48 });
    const seeds = losses.map(({ dropoutSeed }) => dropoutSeed);
    expect(seeds.every((seed) => Number.isSafeInteger(seed))).toBe(true);
    expect(new Set(seeds).size).toBe(losses.length);
  });

  it('refuses to write over another run', async () => {
    const config = makeConfig();
    await train(config, fake());
    const before = file(config, 'metrics.jsonl');
    await expect(train(config, fake())).rejects.toMatchObject({ code: 'ERR_OUTPUT_EXISTS' });
    expect(file(config, 'metrics.jsonl')).toBe(before);
  });

  it('frees the model however it ends', async () => {
    for (const behaviour of [{}, { onGenerate: () => Promise.reject(new Error('engine')) }]) {
      const made: FakeModel[] = [];
      await train(makeConfig(), fake(behaviour, made)).then(undefined, () => {});
      expect(made.map(({ disposed }) => disposed)).toEqual([true]);
    }
  });
});

describe('a GRPO step', () => {
  it('trains on the sampled token ids, stop token included, with weights on completions alone', async () => {
    const made: FakeModel[] = [];
    await train(makeConfig(), fake({}, made));
    const grpo = made[0]?.losses.filter(({ advantage }) => advantage !== undefined) ?? [];
    expect(grpo.length).toBeGreaterThan(0);
    for (const { sequences, weight, advantage } of grpo) {
      for (const [index, tokens] of sequences.entries()) {
        const start = weight[index]?.findIndex((value) => value !== 0) as number;
        expect(start).toBeGreaterThan(0);
        expect(weight[index]?.subarray(start).every((value) => value > 0)).toBe(true);
        expect(weight[index]).toHaveLength(tokens.length);
        expect(tokens.at(-1)).toBe(0);
        expect(new Set(advantage?.[index]?.subarray(start)).size).toBe(1);
      }
    }
  });

  it('reports how far sampler and trainer are apart', async () => {
    const steps = async (mismatch: number) => {
      const all = await events(makeConfig(), fake({ mismatch }));
      return all.flatMap((event) =>
        event.type === 'step' && event.record.kind === 'grpo' ? [event.record.metrics] : [],
      );
    };
    const name = 'sampling/sampling_logp_difference';
    for (const metrics of await steps(0.25)) {
      expect(metrics[`${name}/mean`]).toBeCloseTo(0.25, 6);
      expect(metrics[`${name}/max`]).toBe(0.25);
    }
    for (const metrics of await steps(0)) expect(metrics[`${name}/max`]).toBe(0);
  });

  it('counts groups without signal, and makes no update when no group has one', async () => {
    const protocol = { ...exclusionProtocol({ wording: 'compact' }), reward: () => ({ value: 1, parts: {} }) };
    const made: FakeModel[] = [];
    const all = await events(makeConfig(), { ...fake({}, made), protocol });
    const last = all.findLast((event) => event.type === 'step');
    expect(last?.record.metrics).toMatchObject({ reward: 1, frac_reward_zero_std: 1, steps_without_signal: 6 });
    expect(last?.record.metrics.grad_norm).toBeUndefined();
    expect(made[0]?.losses.filter(({ advantage }) => advantage !== undefined)).toEqual([]);
  });

  it('stops with the instance named when a reward throws or is no number', async () => {
    const base = exclusionProtocol({ wording: 'compact' });
    const cases = [
      () => {
        throw new RangeError('boom');
      },
      () => ({ value: Number.NaN, parts: {} }),
      async () => Promise.reject(new Error('remote')),
    ];
    for (const reward of cases) {
      const run = train(makeConfig(), { ...fake(), protocol: { ...base, reward } as never });
      await expect(run).rejects.toMatchObject({ code: 'ERR_REWARD', message: expect.stringContaining('synthetic/') });
    }
  });

  it('counts an update that was skipped for a gradient that is not finite', async () => {
    const all = await events(makeConfig(), fake({ badUpdate: 2 }));
    const skipped = all.flatMap((event) => (event.type === 'step' ? [event.record.metrics.skipped_updates] : []));
    expect(skipped).toEqual([0, 1, 1, 1, 1, 1, 1, 1, 1]);
  });

  it('leaves truncated completions out of the loss when asked to', async () => {
    const config = makeConfig();
    (config.stages[1] as { maskTruncated?: boolean }).maskTruncated = true;
    const made: FakeModel[] = [];
    const truncated = fakePrepare({}, made);
    const prepare: TrainOptions['prepare'] = async (...args) => {
      const parts = await truncated(...args);
      const complete = parts.sampler.complete.bind(parts.sampler);
      const cut: typeof complete = async (...request) =>
        (await complete(...request)).map((group) => group.map((one) => ({ ...one, stop: 'length' as const })));
      return { ...parts, sampler: Object.assign(Object.create(parts.sampler), { complete: cut }) };
    };
    const all = await events(config, { prepare });
    const last = all.findLast((event) => event.type === 'step');
    expect(last?.record.metrics['completions/clipped_ratio']).toBe(1);
    expect(made[0]?.losses.filter(({ advantage }) => advantage !== undefined)).toEqual([]);
  });
});
