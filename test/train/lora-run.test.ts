/** Runs that train an adapter, on the real engine. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readAdapterFolder } from '../../lib/native/index.js';
import { resolveConfig, type TrainConfig } from '../../lib/train/config.js';
import { planRun } from '../../lib/train/plan.js';
import { type TrainOptions, train } from '../../lib/train/trainer.js';
import { readTensors } from '../golden/support.js';
import { tinyRun } from './tiny-run.js';

const newFolder = () => join(mkdtempSync(join(tmpdir(), 'winnow-lora-run-')), 'run');
let base = '';

beforeAll(async () => {
  const config = tinyRun(newFolder());
  const { checkpoint } = await train({ ...config, stages: [config.stages[0] as TrainConfig['stages'][number]] });
  base = checkpoint as string;
});

type Model = TrainConfig['model'];
const lora = { rank: 3, alpha: 8 };

function newRun(model: Partial<Model> = {}, change: Partial<TrainConfig> = {}): TrainConfig {
  const { evaluation: _, ...plain } = tinyRun(newFolder());
  return { ...plain, model: { folder: base, lora, ...model }, ...change };
}

const last = 'checkpoints/step-00000012';
const bytes = (config: TrainConfig, name: string) => readFileSync(join(config.output, name));
const kFiles = [
  'metrics.jsonl',
  'samples.jsonl',
  `${last}/adapter_model.safetensors`,
  `${last}/trainer_state/optimizer.safetensors`,
];

function requireSame(a: TrainConfig, b: TrainConfig, files = kFiles): void {
  for (const name of files) expect(bytes(a, name).equals(bytes(b, name)), name).toBe(true);
}

async function stopAfter(config: TrainConfig, step: number, options: TrainOptions = {}): Promise<void> {
  for await (const event of train(config, options)) if (event.type === 'step' && event.record.step === step) return;
}

const withKl = (reference: string) =>
  tinyRun('').stages.map((stage) =>
    stage.kind === 'grpo' ? { ...stage, kl: { coefficient: 0.1 }, reference } : { ...stage, steps: 6 },
  );

describe('a run with an adapter', () => {
  it('moves the policy, agrees with its sampler bit for bit, and keeps the activations of the sampling', async () => {
    const config = newRun();
    const ratios = new Set<number | undefined>();
    const kept = new Set<number | undefined>();
    const losses: number[] = [];
    for await (const event of train(config)) {
      if (event.type === 'start') expect(event.trainedParameters).toBeLessThan(event.parameters);
      if (event.type !== 'step') continue;
      const { metrics, kind } = event.record;
      if (kind === 'sft') losses.push(metrics.loss as number);
      if (metrics.policy_loss === undefined) continue;
      ratios.add(metrics['sampling/sampling_logp_difference/max']);
      kept.add(metrics.cached_token_fraction);
    }
    expect([ratios, kept]).toEqual([new Set([0]), new Set([1])]);
    expect(losses.at(-1)).toBeLessThan(losses[0] as number);
  });

  it('writes checkpoints that hold the adapter alone, with its base named', async () => {
    const before = readFileSync(join(base, 'model.safetensors'));
    const config = newRun({ lora: { ...lora, rsLora: true, targets: ['q_proj', 'layers.1.mlp.up_proj'] } });
    const folder = (await train(config)).checkpoint as string;
    expect(readdirSync(folder).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'trainer_state']);
    expect(readAdapterFolder(folder).config).toEqual({
      ...{ rank: 3, alpha: 8, dropout: 0, rsLora: true },
      targets: ['layers.1.mlp.up_proj', 'q_proj'],
    });
    const written = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
    expect(written.base_model_name_or_path).toBe(base);
    expect(statSync(join(folder, 'adapter_model.safetensors')).size).toBeLessThan(before.length / 4);
    expect(readFileSync(join(base, 'model.safetensors')).equals(before)).toBe(true);
  });

  for (const [name, model, change] of [
    ['f32', { dtype: 'f32' }, {}],
    ['bf16', { dtype: 'bf16' }, {}],
    ['dropout', { lora: { ...lora, dropout: 0.2 } }, {}],
    ['8-bit moments', { dtype: 'bf16' }, { optimizer: { moments: '8bit' } }],
  ] as [string, Partial<Model>, Partial<TrainConfig>][]) {
    it(`ends in the same bytes when it is resumed, ${name}`, async () => {
      const [straight, resumed] = [newRun(model, change), newRun(model, change)];
      await train(straight);
      await stopAfter(resumed, 4);
      await stopAfter(resumed, 9, { resume: true });
      await train(resumed, { resume: true });
      requireSame(straight, resumed);
    });
  }

  it('does not depend on the number of threads', async () => {
    const [one, two] = [newRun({}, { threads: 1 }), newRun({}, { threads: 2 })];
    await train(one);
    await train(two);
    requireSame(one, two);
  });

  it('computes layers again to the same bytes, with dropout too', async () => {
    const model = { lora: { ...lora, dropout: 0.1 } };
    const stages = tinyRun('').stages.map((stage) => ({ ...stage, recompute: 'layer' as const }));
    const [stored, again] = [newRun(model), newRun(model, { stages })];
    await train(stored);
    await train(again);
    requireSame(stored, again, kFiles.slice(2));
  });

  it('goes on from an adapter that is there', async () => {
    const first = newRun();
    const from = (await train(first)).checkpoint as string;
    const stages = [{ kind: 'sft', steps: 1, batch: 1, learningRate: 1e-30 } as const];
    const next = newRun({ lora: { from, dropout: 0.1 } }, { stages });
    const folder = (await train(next)).checkpoint as string;
    const { config } = readAdapterFolder(from);
    expect(readAdapterFolder(folder).config).toEqual({ ...config, dropout: 0.1 });
    const [before, after] = [from, folder].map((path) => readTensors(join(path, 'adapter_model.safetensors')));
    for (const [name, values] of before as Map<string, Float32Array>) {
      const other = after?.get(name) as Float32Array;
      expect(Math.max(...values.map((value, index) => Math.abs(value - (other[index] as number))))).toBeLessThan(1e-20);
    }
    const start = newRun({ lora: { from } }, { stages: withKl('stage-start').slice(1) });
    await train(start);
    expect(readdirSync(join(start.output, 'references', 'stage-0'))).toContain('adapter_model.safetensors');
  });

  it('takes the model without its adapter as reference, and that is the base folder bit for bit', async () => {
    const [off, copy] = [newRun({}, { stages: withKl('base') }), newRun({}, { stages: withKl(base) })];
    const result = await train(off);
    await train(copy);
    expect(result.metrics.kl).toBeGreaterThan(0);
    expect(existsSync(join(off.output, 'references'))).toBe(false);
    requireSame(off, copy);
  });

  it('finds the reference of a later stage again: the adapter as it was there', async () => {
    const stages = withKl('stage-start');
    const [straight, resumed] = [newRun({}, { stages }), newRun({}, { stages })];
    await train(straight);
    await stopAfter(resumed, 8);
    await train(resumed, { resume: true });
    requireSame(straight, resumed);
    expect(readdirSync(join(straight.output, 'references', 'stage-1'))).toContain('adapter_model.safetensors');
    const other = newRun({}, { stages: withKl('base') });
    await train(other);
    expect(bytes(other, 'metrics.jsonl').equals(bytes(straight, 'metrics.jsonl'))).toBe(false);
  });

  it('needs no reference of its own where the adapter is new', async () => {
    const stages = (reference: string) => withKl(reference).slice(1);
    const [start, off] = [newRun({}, { stages: stages('stage-start') }), newRun({}, { stages: stages('base') })];
    await train(start);
    await train(off);
    expect(existsSync(join(start.output, 'references'))).toBe(false);
    requireSame(start, off, ['metrics.jsonl']);
  });

  it('is planned: masters and moments of the adapter, and no second copy for the reference', async () => {
    const [all, adapter] = await Promise.all(
      [{}, { lora }].map((own) => planRun(resolveConfig({ ...newRun(), model: { folder: base, ...own } }))),
    );
    expect(adapter?.trainedParameters).toBeLessThan((all?.trainedParameters as number) / 2);
    const [wide, narrow] = [all?.stages[1]?.memory, adapter?.stages[1]?.memory];
    expect(wide?.optimizer).toBe(16 * (all?.trainedParameters as number));
    expect(narrow?.optimizer).toBe(16 * (adapter?.trainedParameters as number));
    expect(adapter?.stages[1]?.flops).toBe(((all?.stages[1]?.flops as number) * 2) / 3);
    for (const [reference, own] of [
      ['base', false],
      ['stage-start', true],
      [base, true],
    ] as const) {
      const plan = await planRun(resolveConfig(newRun({}, { stages: withKl(reference) })));
      expect((plan.stages[1]?.memory.reference as number) > 0, reference).toBe(own);
    }
  });
});

describe('an adapter that cannot be', () => {
  const failure = async (config: TrainConfig) => {
    try {
      await train(config);
    } catch (error) {
      return error as { code: string; message: string; hint?: string };
    }
    throw new Error('nothing was thrown');
  };
  const absent = { data: { train: '/nonexistent.jsonl' } };

  it.each([[['q_prj']], [['lm_head']], [['embed_tokens']], [['q_proj', '']], [['all-linear', 'norm']]])(
    'on %j is refused with the settings',
    async (targets) => {
      expect((await failure(newRun({ lora: { targets } }, absent))).code).toMatch(/^ERR_CONFIG/);
    },
  );

  it('on a layer that the model does not have is refused before data and weights are read', async () => {
    const error = await failure(newRun({ lora: { targets: ['layers.7.mlp.up_proj'] } }, absent));
    expect(error.code).toBe('ERR_ADAPTER_TARGET');
    const config = resolveConfig(newRun({ lora: { targets: ['layers.7.mlp.up_proj'] } }, absent));
    await expect(planRun(config)).rejects.toMatchObject({ code: 'ERR_ADAPTER_TARGET' });
  });

  it('of random weights, beside a reference that follows, and a base without an adapter, are refused', async () => {
    const scratch = tinyRun('').model.scratch as NonNullable<Model['scratch']>;
    expect((await failure({ ...newRun(), model: { scratch, lora } })).message).toContain('model.lora');
    const both = newRun({ lora: { from: base, rank: 4 } });
    expect((await failure(both)).message).toContain('model.lora.rank');
    const following = withKl('stage-start').map((stage) =>
      stage.kind === 'grpo' ? { ...stage, referenceSync: { everySteps: 2 } } : stage,
    );
    expect((await failure(newRun({}, { stages: following }))).message).toContain('referenceSync');
    const bare = { ...newRun({}, { stages: withKl('base') }), model: { folder: base } };
    expect((await failure(bare)).message).toContain('reference');
  });

  it('with other settings does not continue a run', async () => {
    const config = newRun();
    await stopAfter(config, 2);
    const other = { ...config, model: { folder: base, lora: { ...lora, rank: 4 } } };
    await expect(train(other, { resume: true })).rejects.toMatchObject({ code: 'ERR_RESUME_CONFIG' });
  });
});
