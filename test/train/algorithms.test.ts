/** Every algorithm setting on the engine: resumed = uninterrupted and 1 thread = 2 threads, in the bytes of weights and moments. */
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TrainConfig } from '../../lib/train/config.js';
import { train } from '../../lib/train/trainer.js';
import { tinyRun } from './tiny-run.js';

type Stage = TrainConfig['stages'][number];
type GrpoSettings = Partial<Extract<Stage, { kind: 'grpo' }>>;

/** Of the warm-up, after which some groups have a signal, and in all. */
const kWarmUp = 12;
const kSteps = kWarmUp + 5;

/** A warm-up and five steps of the algorithm, without evaluations. */
function shortRun(stage: Stage, change: Partial<TrainConfig> = {}): TrainConfig {
  const base = tinyRun(join(mkdtempSync(join(tmpdir(), 'winnow-algorithms-')), 'run'));
  const { evaluation: _, ...rest } = base;
  const warmUp = { ...(base.stages[0] as Stage), steps: kWarmUp };
  return { ...rest, stages: [warmUp, { ...stage, steps: kSteps - kWarmUp }], checkpoint: { every: 100 }, ...change };
}

const grpo = (settings: GrpoSettings): Stage => ({ ...(tinyRun('').stages[1] as Stage), ...settings }) as Stage;
const sampling = { prompts: 4, group: 4, maxTokens: 24, learningRate: 0.005, maxBatchTokens: 256 };

const kVariants: Readonly<Record<string, () => TrainConfig>> = {
  'RLOO with GSPO, two updates': () =>
    shortRun(grpo({ advantage: 'leave-one-out', loss: 'gspo', normaliser: 'sequence', updates: 2, group: 8 })),
  'REINFORCE++ with CISPO in mini-batches': () => shortRun(grpo({ advantage: 'batch', loss: 'cispo', miniBatch: 2 })),
  'Dr. GRPO with dual clip and k3 in the loss, two updates': () =>
    shortRun(
      grpo({
        ...{ advantage: 'mean', normaliser: 'constant', dualClip: 3, updates: 2 },
        ...{ kl: { coefficient: 0.1 }, reference: 'stage-start' },
      }),
    ),
  'k1 in the reward, overlong penalty, truncated ones masked': () =>
    shortRun(
      grpo({
        ...{ kl: { coefficient: 0.1, estimator: 'k1', place: 'reward' }, reference: 'stage-start' },
        ...{ overlong: { buffer: 12 }, maskTruncated: true },
      }),
    ),
  'dynamic sampling, entropy bonus, corrected k1': () =>
    shortRun(
      grpo({
        ...{ dynamicSampling: { rounds: 2 }, entropyCoefficient: 0.01, group: 2 },
        ...{ kl: { coefficient: 0.1, estimator: 'k1', corrected: true }, reference: 'stage-start' },
      }),
    ),
  'replay with dynamic sampling in mini-batches, two passes': () =>
    shortRun(
      grpo({
        ...{ replay: { groups: 3, maxAge: 3, truncation: 1.1 }, dynamicSampling: { rounds: 1 } },
        ...{ miniBatch: 2, updates: 2, learningRate: 0.02 },
      }),
    ),
  'PPO with a critic of its own, two passes in mini-batches, value clip, KL in the reward': () =>
    shortRun({
      ...{ kind: 'ppo', steps: 5, ...sampling, group: 2, updates: 2, miniBatch: 2, lambda: 0.95, discount: 0.99 },
      ...{ kl: { coefficient: 0.05, estimator: 'k1', place: 'reward' }, reference: 'stage-start', clipLow: 0.1 },
      referenceSync: { everySteps: 2 },
      critic: { learningRate: 0.01, clip: 0.2, warmupSteps: 1 },
    }),
  'PPO with a shared body, truncated ones masked, entropy bonus': () =>
    shortRun({
      ...{ kind: 'ppo', steps: 5, ...sampling, updates: 2, maskTruncated: true, entropyCoefficient: 0.01 },
      recompute: 'layer',
      critic: { body: 'shared', coefficient: 0.2 },
    }),
  'best of n': () => shortRun({ kind: 'best-of-n', steps: 5, ...sampling, minimumReward: -1 }),
  'a mixture of tasks with a curriculum': () =>
    shortRun(grpo({ sizes: { minimum: 2, maximum: 4, rampSteps: 3 } }), {
      data: {
        mixture: [
          { weight: 3, task: { name: 'synthetic', users: 16, candidates: 4, history: 2 } },
          { weight: 1, task: { name: 'synthetic', users: 12, candidates: 3, history: 2, seed: 77 } },
        ],
      },
    }),
};

const last = `checkpoints/step-${String(kSteps).padStart(8, '0')}`;
const critic = ['critic/model.safetensors', 'critic/optimizer.safetensors', 'critic/value_head.safetensors'];
/** Of every kind of stage, '' where it has no such file. */
const files = (config: TrainConfig) =>
  [
    ...['metrics.jsonl', 'samples.jsonl', `${last}/model.safetensors`, `${last}/trainer_state/optimizer.safetensors`],
    ...[...critic, 'value_head.safetensors'].map((name) => `${last}/${name}`),
  ].map((name) => {
    const path = join(config.output, name);
    return existsSync(path) ? readFileSync(path).toString('latin1') : '';
  });

/** `same` names the file that differs, and not its megabytes. */
const requireSame = (a: TrainConfig, b: TrainConfig) => {
  const [first, second] = [files(a), files(b)];
  expect(first.map((bytes, index) => bytes === second[index])).toEqual(first.map(() => true));
  expect(first.slice(0, 4).every((bytes) => bytes.length > 0)).toBe(true);
};

interface Line {
  readonly kind?: string;
  readonly metrics?: Readonly<Record<string, number>>;
}
const metricsOf = (config: TrainConfig): Readonly<Record<string, number>>[] =>
  readFileSync(join(config.output, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
    .flatMap(({ kind, metrics }) => (metrics !== undefined && kind !== 'sft' ? [metrics] : []));

async function stopAfter(config: TrainConfig, step: number): Promise<void> {
  for await (const event of train(config)) if (event.type === 'step' && event.record.step === step) return;
}

describe.each(Object.keys(kVariants))('%s', (name) => {
  const make = kVariants[name] as () => TrainConfig;
  const straight = make();
  const done = train(straight);

  it('a resumed run ends in the same bytes', async () => {
    await done;
    const resumed = make();
    await stopAfter(resumed, kWarmUp + 3);
    await train(resumed, { resume: true });
    requireSame(straight, resumed);
  });

  it('so does one with 8-bit moments and split masters, on two threads and with layers computed again', async () => {
    const inLittleMemory = (): TrainConfig => {
      const run = make();
      return { ...run, model: { ...run.model, dtype: 'bf16' }, optimizer: { moments: '8bit', masters: 'split' } };
    };
    const [whole, parts] = [inLittleMemory(), inLittleMemory()];
    await train(whole);
    const stages = parts.stages.map((stage) => ({ ...stage, recompute: 'layer' as const }));
    const resumed = { ...parts, threads: 2, stages };
    await stopAfter(resumed, kWarmUp + 2);
    await train(resumed, { resume: true });
    requireSame(whole, resumed);
  });

  it('two threads give the same bytes as one', async () => {
    await done;
    const two = { ...make(), threads: 2 };
    await train(two);
    requireSame(straight, two);
  });

  it('learns from something, and sampler and trainer agree exactly', async () => {
    await done;
    const metrics = metricsOf(straight);
    expect(metrics).toHaveLength(kSteps - kWarmUp);
    expect(metrics.some(({ grad_norm = 0 }) => grad_norm > 0)).toBe(true);
    const differences = metrics.flatMap((step) => step['sampling/sampling_logp_difference/max'] ?? []);
    if (name !== 'best of n') expect(new Set(differences)).toEqual(new Set([0]));
  });
});

describe('what the settings do shows in the metrics', () => {
  const run = async (name: string) => {
    const config = (kVariants[name] as () => TrainConfig)();
    await train(config);
    return metricsOf(config);
  };

  it('replay draws groups of earlier steps and weighs them', async () => {
    const metrics = await run('replay with dynamic sampling in mini-batches, two passes');
    expect(metrics[0]?.['replay/groups']).toBe(0);
    expect(metrics.at(-1)?.['replay/groups']).toBeGreaterThan(0);
    const ratios = metrics.flatMap((step) => step['sampling/importance_sampling_ratio/max'] ?? []);
    expect(Math.max(...ratios)).toBeGreaterThan(1);
    expect(Math.max(...ratios)).toBeLessThanOrEqual(1.1);
  });

  it("PPO's critic is trained first, alone, and is in the checkpoint with its moments", async () => {
    const name = 'PPO with a critic of its own, two passes in mini-batches, value clip, KL in the reward';
    const config = (kVariants[name] as () => TrainConfig)();
    await train(config);
    const [first, second] = metricsOf(config);
    expect(first?.['critic/vf_loss']).toBeGreaterThan(0);
    expect(first?.['critic/lr']).toBe(0.01);
    // Its head begins at 0.
    expect(first?.['critic/values/max']).toBe(0);
    expect(first?.grad_norm).toBeUndefined();
    expect(second?.grad_norm).toBeGreaterThan(0);
    expect(second?.['critic/values/max']).not.toBe(0);
    const folder = join(config.output, last);
    for (const name of critic) expect(existsSync(join(folder, name))).toBe(true);
    expect(existsSync(join(folder, 'value_head.safetensors'))).toBe(false);
    // Four updates a step: two passes over two mini-batches.
    const state = JSON.parse(readFileSync(join(folder, 'trainer_state', 'stage.json'), 'utf8'));
    expect(state).toEqual({ version: 1, criticUpdates: 4 * 5 });
  });

  it('dynamic sampling draws more groups where there is no signal', async () => {
    const metrics = await run('dynamic sampling, entropy bonus, corrected k1');
    expect(metrics.some((step) => (step['dynamic_sampling/groups'] as number) > 4)).toBe(true);
    for (const step of metrics) expect(step['dynamic_sampling/rounds']).toBeLessThanOrEqual(2);
  });
});
