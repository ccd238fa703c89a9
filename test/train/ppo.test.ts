/** PPO on the engine: what reaches the losses, what a critic changes, and that it learns. */
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LossRequest } from '../../lib/native/index.js';
import type { TrainConfig } from '../../lib/train/config.js';
import type { Metrics } from '../../lib/train/events.js';
import { prepare } from '../../lib/train/setup.js';
import type { TrainableModel } from '../../lib/train/stage.js';
import { type TrainOptions, train } from '../../lib/train/trainer.js';
import { tinyRun } from './tiny-run.js';

type Stage = TrainConfig['stages'][number];
type PpoSettings = Partial<Extract<Stage, { kind: 'ppo' }>>;

const kPpo = { kind: 'ppo', prompts: 4, group: 2, maxTokens: 24, learningRate: 0.005, maxBatchTokens: 256 } as const;

function ppoRun(settings: PpoSettings, warmUp = 0, change: Partial<TrainConfig> = {}): TrainConfig {
  const { evaluation: _, ...base } = tinyRun(join(mkdtempSync(join(tmpdir(), 'winnow-ppo-')), 'run'));
  const sft = { ...(base.stages[0] as Stage), steps: warmUp };
  const stages = [...(warmUp > 0 ? [sft] : []), { ...kPpo, steps: 3, ...settings }] as Stage[];
  return { ...base, stages, checkpoint: { every: 100 }, ...change };
}

async function metricsOf(config: TrainConfig, options: TrainOptions = {}): Promise<Metrics[]> {
  const all: Metrics[] = [];
  for await (const event of train(config, options)) {
    if (event.type === 'step' && event.record.kind === 'ppo') all.push(event.record.metrics);
  }
  return all;
}

interface Seen {
  readonly who: 'policy' | 'critic';
  readonly request: LossRequest;
}

/** Notes what the two models are asked to learn, and the completions that were sampled. */
function watching(seen: Seen[], completions: Int32Array[]): TrainOptions {
  const watched = (model: TrainableModel, who: Seen['who']): TrainableModel =>
    new Proxy(model, {
      get(target, name) {
        const value = Reflect.get(target, name, target) as unknown;
        if (typeof value !== 'function') return value;
        if (name !== 'accumulateGradients') return value.bind(target);
        return (request: LossRequest, ...rest: unknown[]) => {
          seen.push({ who, request });
          return value.call(target, request, ...rest);
        };
      },
    });
  return {
    prepare: async (...args) => {
      const parts = await prepare(...args);
      const complete: typeof parts.sampler.complete = async (...asked) => {
        const groups = await parts.sampler.complete(...asked);
        completions.push(...groups.flat().map(({ tokens }) => tokens));
        return groups;
      };
      return {
        ...parts,
        model: watched(parts.model, 'policy'),
        sampler: Object.assign(Object.create(parts.sampler), { complete }),
        openCritic: async (folder) => watched(await parts.openCritic(folder), 'critic'),
      };
    },
  };
}

describe('what reaches the losses', () => {
  it('is every completion token, the stop token included, and nothing else', async () => {
    const seen: Seen[] = [];
    const completions: Int32Array[] = [];
    await metricsOf(ppoRun({ steps: 1 }, 12), watching(seen, completions));
    const [critic, policy] = seen.slice(-2) as [Seen, Seen];
    expect([critic.who, policy.who]).toEqual(['critic', 'policy']);
    expect(completions).toHaveLength(8);
    for (const [index, completion] of completions.entries()) {
      const tokens = policy.request.sequences[index] as Int32Array;
      const start = tokens.length - completion.length;
      expect([...tokens.subarray(start)]).toEqual([...completion]);
      expect(critic.request.sequences[index]).toEqual(tokens);
      const weight = policy.request.weight?.[index] as Float32Array;
      const slopes = critic.request.valueGradient?.[index] as Float32Array;
      for (const row of [weight, slopes]) {
        expect(row.subarray(0, start).every((value) => value === 0)).toBe(true);
        expect(row.subarray(start).every((value) => value !== 0)).toBe(true);
      }
    }
    expect(critic.request.kind).toBe('value');
    expect(policy.request.valueGradient).toBeUndefined();
  });

  it('at discount 1 with values of 0 is the reward itself at every token', async () => {
    const seen: Seen[] = [];
    const rewards: number[] = [];
    const config = ppoRun({ steps: 1, whiten: false }, 12, { report: { everySteps: 1, samples: 4 } });
    for await (const event of train(config, watching(seen, []))) {
      if (event.type !== 'step' || event.record.kind !== 'ppo') continue;
      rewards.push(...event.samples.flatMap(({ completions }) => completions.map(({ reward }) => reward)));
    }
    const { request } = seen.at(-1) as Seen;
    expect(new Set(rewards).size).toBeGreaterThan(1);
    for (const [index, tokens] of request.sequences.entries()) {
      const weight = request.weight?.[index] as Float32Array;
      const own = Array.from(request.advantage?.[index] ?? []).filter((_, token) => weight[token] !== 0);
      expect(own.length).toBeLessThan(tokens.length);
      for (const value of own) expect(value).toBeCloseTo(rewards[index] as number, 6);
    }
  });

  it('in a shared body goes through one backward pass', async () => {
    const seen: Seen[] = [];
    const config = ppoRun({ steps: 2, critic: { body: 'shared' } }, 6);
    await metricsOf(config, watching(seen, []));
    const last = seen.at(-1) as Seen;
    expect(seen.every(({ who }) => who === 'policy')).toBe(true);
    expect(last.request.kind).toBe('policy_gradient');
    expect(last.request.valueGradient?.some((row) => row.some((value) => value !== 0))).toBe(true);
    expect(existsSync(join(config.output, 'checkpoints', 'step-00000008', 'value_head.safetensors'))).toBe(true);
  });

  it('in a shared body weighs the slopes of values by the coefficient, 0.1 where none is named', async () => {
    const slopesOf = async (critic: PpoSettings['critic']): Promise<number[]> => {
      const seen: Seen[] = [];
      await metricsOf(ppoRun({ steps: 1, critic }), watching(seen, []));
      const [first] = seen.flatMap(({ request }) => request.valueGradient ?? []);
      return Array.from(first ?? []);
    };
    const own = await slopesOf({ body: 'own' });
    expect(own.some((slope) => slope !== 0)).toBe(true);
    for (const coefficient of [undefined, 0.5]) {
      const shared = await slopesOf({ body: 'shared', coefficient });
      for (const [token, slope] of shared.entries())
        expect(slope).toBeCloseTo((coefficient ?? 0.1) * (own[token] as number), 6);
      expect(shared).toHaveLength(own.length);
    }
  });
});

describe('the critic', () => {
  it('may come from a checkpoint of another run, and says then what it said there', async () => {
    const first = ppoRun({ steps: 8, critic: { learningRate: 0.02 } }, 6);
    const trained = await metricsOf(first);
    const folder = join(first.output, 'checkpoints', 'step-00000014', 'critic');
    const [fresh] = await metricsOf(ppoRun({ steps: 1 }, 6));
    const [again] = await metricsOf(ppoRun({ steps: 1, critic: { folder } }, 6));
    expect(fresh?.['critic/values/mean']).toBe(0);
    expect(again?.['critic/values/mean']).not.toBe(0);
    expect(trained.at(-1)?.['critic/vf_explained_var']).not.toBe(trained[0]?.['critic/vf_explained_var']);
  });

  it('needs the tokens of the policy', async () => {
    const other = ppoRun({ steps: 1 }, 0, {
      data: { task: { name: 'synthetic', users: 16, candidates: 4, history: 2, wordsPerGenre: 3, genres: 3 } },
    });
    await metricsOf(other);
    const folder = join(other.output, 'checkpoints', 'step-00000001', 'critic');
    await expect(train(ppoRun({ critic: { folder } }))).rejects.toMatchObject({ code: 'ERR_MODEL_FOLDER' });
  });

  it('leaves no copy of the policy behind that nothing needs', async () => {
    const config = ppoRun({ steps: 1 });
    await train(config);
    expect(existsSync(join(config.output, 'references', 'stage-0'))).toBe(false);
    const kept = ppoRun({ steps: 1, kl: { coefficient: 0.1 }, reference: 'stage-start' });
    await train(kept);
    expect(existsSync(join(kept.output, 'references', 'stage-0'))).toBe(true);
  });
});

describe.each(['own', 'shared'] as const)('with a critic of %s body', (body) => {
  it('beside an adapter, a resumed run ends in the same bytes, and the base stays as it is', async () => {
    const folder = (await train(ppoRun({ steps: 1 }, 4))).checkpoint as string;
    const before = readFileSync(join(folder, 'model.safetensors'));
    const make = () => {
      const kl = { kl: { coefficient: 0.05 }, reference: 'base' };
      const run = ppoRun({ steps: 4, updates: 2, critic: { body }, ...kl }, 0);
      return { ...run, model: { folder, lora: { rank: 2, dropout: 0.1 } } };
    };
    const [straight, resumed] = [make(), make()];
    const metrics = await metricsOf(straight);
    expect(metrics.at(-1)?.['critic/values/mean']).not.toBe(0);
    expect(metrics.at(-1)?.kl).toBeGreaterThan(0);
    for await (const event of train(resumed)) if (event.type === 'step' && event.record.step === 2) break;
    await train(resumed, { resume: true });
    const last = 'checkpoints/step-00000004';
    const critic = body === 'own' ? 'critic/optimizer.safetensors' : 'value_head.safetensors';
    for (const name of ['metrics.jsonl', `${last}/trainer_state/optimizer.safetensors`, `${last}/${critic}`]) {
      const [one, other] = [straight, resumed].map(({ output }) => readFileSync(join(output, name)));
      expect(one?.equals(other as Buffer), name).toBe(true);
    }
    expect(readFileSync(join(folder, 'model.safetensors')).equals(before)).toBe(true);
  });

  it('the reward rises', async () => {
    const critic = body === 'own' ? { body, learningRate: 0.01 } : { body, coefficient: 0.5 };
    const metrics = await metricsOf(ppoRun({ steps: 40, prompts: 16, group: 2, updates: 2, lambda: 0.95, critic }, 60));
    const mean = (name: string, part: readonly Metrics[]) =>
      part.reduce((sum, one) => sum + (one[name] as number) / part.length, 0);
    const [before, after] = [metrics.slice(0, 8), metrics.slice(-8)];
    expect(mean('reward', after)).toBeGreaterThan(mean('reward', before) + 0.1);
  });
});
