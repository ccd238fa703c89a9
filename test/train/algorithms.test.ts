/** Every algorithm setting on the engine: resumed = uninterrupted and 1 thread = 2 threads, in the bytes of weights and moments. */
import { mkdtempSync, readFileSync } from 'node:fs';
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
const files = (config: TrainConfig) =>
  ['metrics.jsonl', 'samples.jsonl', `${last}/model.safetensors`, `${last}/trainer_state/optimizer.safetensors`].map(
    (name) => readFileSync(join(config.output, name)).toString('latin1'),
  );

/** `same` names the file that differs, and not its megabytes. */
const requireSame = (a: TrainConfig, b: TrainConfig) => {
  const [first, second] = [files(a), files(b)];
  expect(first.map((bytes, index) => bytes === second[index])).toEqual([true, true, true, true]);
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

  it('dynamic sampling draws more groups where there is no signal', async () => {
    const metrics = await run('dynamic sampling, entropy bonus, corrected k1');
    expect(metrics.some((step) => (step['dynamic_sampling/groups'] as number) > 4)).toBe(true);
    for (const step of metrics) expect(step['dynamic_sampling/rounds']).toBeLessThanOrEqual(2);
  });
});
