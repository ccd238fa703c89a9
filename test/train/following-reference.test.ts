import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { blendWeights } from '../../lib/train/blend.js';
import { resolveConfig, type TrainConfig } from '../../lib/train/config.js';
import { train } from '../../lib/train/trainer.js';
import { tinyRun } from './tiny-run.js';

const newFolder = () => join(mkdtempSync(join(tmpdir(), 'winnow-reference-')), 'run');

/** A file as the engine writes it: one tensor. */
function weights(path: string, values: readonly number[], dtype = 'F32'): string {
  const tensor = { dtype, shape: [values.length], data_offsets: [0, 4 * values.length] };
  const header = Buffer.from(JSON.stringify({ w: tensor }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(path, Buffer.concat([length, header, Buffer.from(Float32Array.from(values).buffer)]));
  return path;
}

const valuesOf = (path: string, count: number) => {
  const bytes = readFileSync(path);
  return [
    ...new Float32Array(
      bytes.buffer.slice(bytes.byteOffset + bytes.length - 4 * count, bytes.byteOffset + bytes.length),
    ),
  ];
};

describe('blendWeights', () => {
  const folder = mkdtempSync(join(tmpdir(), 'winnow-blend-'));

  it('takes the weighted mean, over the borders of its chunks too', async () => {
    const a = weights(join(folder, 'a'), [1, -2, 8]);
    const b = weights(join(folder, 'b'), [5, 2, 0]);
    await blendWeights(a, b, 0.25);
    expect(valuesOf(a, 3)).toEqual([4, 1, 2]);
    expect(valuesOf(b, 3)).toEqual([5, 2, 0]);
    const count = (1 << 20) + 5;
    const large = weights(
      join(folder, 'large'),
      Array.from({ length: count }, (_, index) => index),
    );
    await blendWeights(large, weights(join(folder, 'zeros'), Array(count).fill(0)), 0.5);
    expect(valuesOf(large, count).every((value, index) => value === index / 2)).toBe(true);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('refuses files of other models or formats', async () => {
    const a = weights(join(folder, 'x'), [1, 2]);
    for (const other of [weights(join(folder, 'y'), [1, 2, 3]), weights(join(folder, 'z'), [1, 2], 'BF16')]) {
      await expect(blendWeights(a, other, 0.5)).rejects.toMatchObject({ code: 'ERR_INTERNAL' });
    }
    const half = weights(join(folder, 'h'), [1, 2], 'BF16');
    await expect(blendWeights(half, weights(join(folder, 'i'), [1, 2], 'BF16'), 0.5)).rejects.toThrow('blended');
  });
});

const following = (referenceSync: { everySteps: number; mix?: number } | undefined, reference = 'stage-start') => {
  const stages = tinyRun('').stages.map((stage) =>
    stage.kind === 'grpo'
      ? { ...stage, kl: { coefficient: 0.1 }, reference, ...(referenceSync && { referenceSync }) }
      : stage,
  );
  return (output = newFolder()): TrainConfig => ({ ...tinyRun(output), stages });
};

async function divergences(config: TrainConfig): Promise<number[]> {
  const found: number[] = [];
  for await (const event of train(config)) {
    if (event.type === 'step' && event.record.metrics.kl !== undefined) found.push(event.record.metrics.kl);
  }
  return found;
}

describe('a reference that follows the policy', () => {
  it('is the policy again after each sync, and in between where the last one left it', async () => {
    const still = await divergences(following(undefined)());
    expect(still[0]).toBe(0);
    expect(Math.min(...still.slice(1))).toBeGreaterThan(0);
    // Of one step each, as both compare a policy with itself: exactly on-policy.
    expect(await divergences(following({ everySteps: 1 })())).toEqual(still.map(() => 0));
    const [a, b, c, d, e, f] = await divergences(following({ everySteps: 2 })());
    expect([a, c, e]).toEqual([0, 0, 0]);
    expect(Math.min(b as number, d as number, f as number)).toBeGreaterThan(0);
    expect(b).toBe(still[1]);
  });

  it('goes a part of the way with a mix', async () => {
    const still = await divergences(following(undefined)());
    const mixed = await divergences(following({ everySteps: 1, mix: 0.5 })());
    expect(mixed.slice(0, 2)).toEqual([0, expect.any(Number)]);
    expect(mixed[1]).toBeGreaterThan(0);
    expect(mixed[1]).toBeLessThan(still[1] as number);
  });

  it('begins at a folder as well', async () => {
    const first = await train(tinyRun(newFolder()));
    const config = following({ everySteps: 3 }, first.checkpoint as string)();
    const found = await divergences({ ...config, model: { folder: first.checkpoint as string } });
    expect(found[3]).toBe(0);
    expect(found[0]).toBeGreaterThan(0);
    expect(existsSync(join(first.checkpoint as string, 'model.safetensors'))).toBe(true);
  });

  it('is found again by a resumed run, to the same bytes, wherever it was left', async () => {
    for (const { mix, leaveAts } of [
      { mix: 1, leaveAts: [9] },
      { mix: 0.3, leaveAts: [7, 10] },
    ]) {
      const make = following({ everySteps: 2, mix });
      const straight = make();
      await train(straight);
      for (const leaveAt of leaveAts) {
        const resumed = make();
        for await (const event of train(resumed)) if (event.type === 'step' && event.record.step === leaveAt) break;
        await train(resumed, { resume: true });
        for (const name of [
          'metrics.jsonl',
          'checkpoints/step-00000012/model.safetensors',
          'references/stage-1/model.safetensors',
        ]) {
          const [expected, received] = [straight, resumed].map(({ output }) => readFileSync(join(output, name)));
          expect(received?.equals(expected as Buffer), `${name} ${mix} ${leaveAt}`).toBe(true);
        }
      }
    }
  });

  it('is refused where it cannot act', () => {
    const grpo = { kind: 'grpo', steps: 4, prompts: 2, group: 2, maxTokens: 8, learningRate: 1 } as const;
    const config = (stage: object) => ({ ...tinyRun('x'), stages: [{ ...grpo, ...stage }] }) as TrainConfig;
    expect(() => resolveConfig(config({ referenceSync: { everySteps: 2 } }))).toThrow('no reference to follow');
    const kl = { kl: { coefficient: 0.1 }, reference: 'stage-start' };
    expect(() => resolveConfig(config({ ...kl, referenceSync: { everySteps: 4 } }))).toThrow('never acts');
    expect(() => resolveConfig(config({ ...kl, referenceSync: { everySteps: 2, mix: 0 } }))).toThrow();
    expect(() => resolveConfig(config({ ...kl, referenceSync: { everySteps: 2, mix: 1.5 } }))).toThrow();
  });
});
