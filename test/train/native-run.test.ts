/** Runs on the real engine: what the stand-in of the other tests cannot show. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readModelFolder } from '../../lib/native/index.js';
import { Tokenizer } from '../../lib/text/index.js';
import type { TrainConfig } from '../../lib/train/config.js';
import { type TrainOptions, train } from '../../lib/train/trainer.js';
import { tinyRun } from './tiny-run.js';

const newRun = (change: Partial<TrainConfig> = {}): TrainConfig => ({
  ...tinyRun(join(mkdtempSync(join(tmpdir(), 'winnow-native-run-')), 'run')),
  ...change,
});

const last = 'checkpoints/step-00000012';
const files = (config: TrainConfig) =>
  ['metrics.jsonl', 'samples.jsonl', `${last}/model.safetensors`, `${last}/trainer_state/optimizer.safetensors`].map(
    (name) => readFileSync(join(config.output, name)),
  );

const requireSame = (a: TrainConfig, b: TrainConfig) => {
  const [first, second] = [files(a), files(b)];
  expect(first.map((bytes, index) => bytes.equals(second[index] as Buffer))).toEqual([true, true, true, true]);
};

async function stopAfter(config: TrainConfig, step: number, options: TrainOptions = {}): Promise<void> {
  for await (const event of train(config, options)) if (event.type === 'step' && event.record.step === step) return;
}

describe('on the engine', () => {
  it('sampler and trainer agree bit for bit at every step', async () => {
    const ratios: (number | undefined)[] = [];
    for await (const event of train(newRun())) {
      if (event.type !== 'step' || event.record.kind !== 'grpo') continue;
      if (event.record.metrics.loss === undefined) continue;
      ratios.push(event.record.metrics['sampling/sampling_logp_difference/max']);
    }
    expect(ratios.length).toBeGreaterThan(2);
    expect(new Set(ratios)).toEqual(new Set([0]));
  });

  it('with keys in bf16 they agree too, in another run, and a reference and a critic round theirs alike', async () => {
    const model = { ...tinyRun('').model, keyValueDtype: 'bf16' } as const;
    const [plain, rounded] = [newRun(), newRun({ model })];
    await train(plain);
    const ratios = new Set<number | undefined>();
    for await (const event of train(rounded))
      if (event.type === 'step' && event.record.metrics.policy_loss !== undefined)
        ratios.add(event.record.metrics['sampling/sampling_logp_difference/max']);
    expect(ratios).toEqual(new Set([0]));
    expect(files(plain)[2]?.equals(files(rounded)[2] as Buffer)).toBe(false);
    // The policy is its own reference in the first step: the same keys give a KL of exactly 0.
    const [sft, grpo] = tinyRun('').stages;
    const stages = [
      { ...sft, steps: 1 },
      { ...grpo, kl: { coefficient: 0.1 }, reference: 'stage-start' },
    ] as never;
    const followed = newRun({ model, stages });
    const kls: (number | undefined)[] = [];
    for await (const event of train(followed))
      if (event.type === 'step' && event.record.metrics.kl !== undefined) kls.push(event.record.metrics.kl);
    expect(kls[0]).toBe(0);
    expect(kls.length).toBeGreaterThan(1);
  });

  for (const dtype of ['f32', 'bf16'] as const) {
    it(`a resumed run ends in the same bytes, ${dtype}`, async () => {
      const model = { ...tinyRun('').model, dtype };
      const [straight, resumed] = [newRun({ model }), newRun({ model })];
      await train(straight);
      await stopAfter(resumed, 4);
      await stopAfter(resumed, 9, { resume: true });
      await train(resumed, { resume: true });
      requireSame(straight, resumed);
    });
  }

  it('the number of threads does not change a byte', async () => {
    const [one, two] = [newRun({ threads: 1 }), newRun({ threads: 2 })];
    await train(one);
    await train(two);
    requireSame(one, two);
  });

  it('gradients from the activations of the sampling are those of a forward pass of their own', async () => {
    const stages = (maxActivationBytes: number) =>
      tinyRun('').stages.map((stage) => (stage.kind === 'grpo' ? { ...stage, maxActivationBytes } : stage));
    const fractions = async (config: TrainConfig): Promise<Set<number>> => {
      const seen = new Set<number>();
      for await (const event of train(config)) {
        if (event.type === 'step' && event.record.metrics.policy_loss !== undefined)
          seen.add(event.record.metrics.cached_token_fraction as number);
      }
      return seen;
    };
    const [kept, repeated] = [newRun({ stages: stages(2 ** 28) }), newRun({ stages: stages(0) })];
    expect([await fractions(kept), await fractions(repeated)]).toEqual([new Set([1]), new Set([0])]);
    expect(files(kept).slice(2)).toEqual(files(repeated).slice(2));
  });

  const forms = [{ moments: '8bit' }, { masters: 'split' }, { moments: '8bit', masters: 'split' }] as const;
  for (const optimizer of forms) {
    it(`a resumed run ends in the same bytes with ${JSON.stringify(optimizer)}`, async () => {
      const model = { ...tinyRun('').model, dtype: 'bf16' as const };
      const [straight, resumed] = [newRun({ model, optimizer }), newRun({ model, optimizer })];
      await train(straight);
      await stopAfter(resumed, 4);
      await stopAfter(resumed, 9, { resume: true });
      await train(resumed, { resume: true });
      requireSame(straight, resumed);
    });
  }

  for (const dtype of ['f32', 'bf16'] as const) {
    it(`split masters change no byte of a run, ${dtype}`, async () => {
      const model = { ...tinyRun('').model, dtype };
      const [plain, split] = [newRun({ model }), newRun({ model, optimizer: { masters: 'split' } })];
      await train(plain);
      await train(split);
      requireSame(plain, split);
    });
  }

  it('layers computed again change no byte of a run', async () => {
    const stages = (change: object) =>
      tinyRun('').stages.map((stage) => ({
        ...stage,
        ...(stage.kind === 'grpo' ? { updates: 2, maxActivationBytes: 0 } : {}),
        ...change,
      }));
    const [kept, again] = [newRun({ stages: stages({}) }), newRun({ stages: stages({ recompute: 'layer' }) })];
    await train(kept);
    await train(again);
    requireSame(kept, again);
  });

  it('a resumed run with a KL term finds its reference again', async () => {
    const stages = tinyRun('').stages.map((stage) =>
      stage.kind === 'grpo' ? { ...stage, kl: { coefficient: 0.1 }, reference: 'stage-start' } : stage,
    );
    const [straight, resumed] = [newRun({ stages }), newRun({ stages })];
    const result = await train(straight);
    expect(result.metrics.kl).toBeGreaterThan(0);
    await stopAfter(resumed, 8);
    await train(resumed, { resume: true });
    requireSame(straight, resumed);
  });

  it('writes checkpoints that load as model folders, and trains on from one', async () => {
    const config = newRun();
    const result = await train(config);
    const folder = result.checkpoint as string;
    expect(readModelFolder(folder).config).toMatchObject({ width: 16, layers: 2, qkNorm: true });
    expect(Tokenizer.fromFolder(folder).vocabularySize).toBe(readModelFolder(folder).config.vocabulary);
    const next = newRun({ model: { folder } });
    expect((await train(next)).status).toBe('completed');
  });

  it('a mask, a clip and several updates leave the ratio of the first update at zero', async () => {
    const stages = tinyRun('').stages.map((stage) =>
      stage.kind === 'grpo' ? { ...stage, updates: 2, maskTruncated: true, normaliser: 'sequence' as const } : stage,
    );
    for await (const event of train(newRun({ stages }))) {
      if (event.type !== 'step' || event.record.metrics.policy_loss === undefined) continue;
      expect(event.record.metrics['sampling/sampling_logp_difference/max']).toBe(0);
    }
  });
});
