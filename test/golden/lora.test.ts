/** Adapters against Hugging Face PEFT, whose files they are; scripts/make-lora-goldens.py made the goldens. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import type { Model } from '../../lib/native/index.js';
import { openSession, readAdapterFolder, writeAdapterConfig } from '../../lib/native/index.js';
import { asTokens, differences, openModel, readTensors, relativeDistance } from './support.js';

const kFixtures = fileURLToPath(new URL('../fixtures', import.meta.url));
const kBase = join(kFixtures, 'losses', 'model');
/** Of log-probabilities near 4: f32 against float64. */
const kLogprobTolerance = 1e-5;
const kTolerance = 1e-4;
const kTrajectoryTolerance = 1e-5;

interface Golden {
  readonly sequences: readonly (readonly number[])[];
  readonly weights: readonly (readonly number[])[];
  readonly logprobs: readonly (readonly number[])[];
  readonly base: readonly (readonly number[])[];
  readonly loss: number;
  readonly steps: {
    readonly count: number;
    readonly losses: readonly number[];
    readonly lr: number;
    readonly betas: readonly [number, number];
    readonly eps: number;
    readonly weight_decay: number;
  };
}

const cases = ['all-linear', 'rank-stabilised'].map((name) => {
  const folder = join(kFixtures, 'lora', name);
  return { name, folder, golden: JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as Golden };
});

const largest = (scores: readonly Float32Array[], rows: readonly (readonly number[])[]) =>
  Math.max(...differences(scores, rows));

async function accumulate(model: Model, { sequences, weights }: Golden): Promise<number> {
  const weight = weights.map((row) => Float32Array.from(row));
  return (await model.accumulateGradients({ kind: 'supervised', sequences: asTokens(sequences), weight })).loss;
}

describe.each(['cpu', 'reference'] as const)('on %s', (device) => {
  const session = openSession({ device, threads: 1 });
  const scratch = mkdtempSync(join(tmpdir(), 'winnow-lora-'));
  afterAll(async () => {
    await session.close();
    rmSync(scratch, { recursive: true });
  });

  async function adapted(folder: string): Promise<Model> {
    const model = await openModel(session, kBase, 'f32');
    const { config, weightsFile } = readAdapterFolder(folder);
    await model.addAdapter(config, { kind: 'file', path: weightsFile });
    return model;
  }

  it.each(cases)('$name: log-probabilities with an adapter of PEFT, and with it off', async ({ folder, golden }) => {
    const model = await adapted(folder);
    const sequences = asTokens(golden.sequences);
    expect(largest(await model.score({ sequences }), golden.logprobs)).toBeLessThan(kLogprobTolerance);
    expect(largest(await model.score({ sequences, adapter: false }), golden.base)).toBeLessThan(kLogprobTolerance);
    expect(largest(await model.score({ sequences, adapter: false }), golden.logprobs)).toBeGreaterThan(0.1);
  });

  it.each(cases)('$name: loss and every gradient of A and B', async ({ folder, golden }) => {
    const model = await adapted(folder);
    await model.enableTraining();
    const loss = await accumulate(model, golden);
    expect(Math.abs(loss - golden.loss)).toBeLessThan(kTolerance * golden.loss);
    const truth = readTensors(join(folder, 'gradients.safetensors'));
    expect([...truth.keys()].sort()).toEqual([...readTensors(join(folder, 'adapter_model.safetensors')).keys()].sort());
    for (const [name, gradient] of truth) {
      const found = await model.readTensor(name, 'gradient');
      expect(relativeDistance(found, gradient), name).toBeLessThan(kTolerance);
    }
  });

  it.each(cases)('$name: a trajectory of AdamW', async ({ folder, golden }) => {
    const model = await adapted(folder);
    await model.enableTraining();
    const { steps } = golden;
    for (let step = 1; step <= steps.count; step++) {
      const loss = await accumulate(model, golden);
      expect(Math.abs(loss - (steps.losses[step - 1] as number))).toBeLessThan(kTrajectoryTolerance * loss);
      await model.applyGradients({
        ...{ step, learningRate: steps.lr, beta1: steps.betas[0], beta2: steps.betas[1] },
        ...{ epsilon: steps.eps, weightDecay: steps.weight_decay, maxGradientNorm: 1 },
      });
    }
    for (const [name, values] of readTensors(join(folder, 'trained.safetensors'))) {
      expect(relativeDistance(await model.readTensor(name), values), name).toBeLessThan(kTrajectoryTolerance);
    }
  });

  it.each(cases)('$name: merged weights', async ({ name, folder }) => {
    const model = await adapted(folder);
    const path = join(scratch, `${device}-${name}.safetensors`);
    await model.saveMerged(path, 'f32');
    const [merged, base] = [readTensors(path), readTensors(join(kBase, 'model.safetensors'))];
    const changed = readTensors(join(folder, 'merged.safetensors'));
    for (const [tensor, values] of merged) {
      const expected = changed.get(tensor) ?? base.get(tensor);
      expect(relativeDistance(values, expected as Float32Array), tensor).toBeLessThan(2e-7);
    }
    expect(changed.size).toBeGreaterThan(0);
    expect(merged.size).toBe(base.size);
  });

  it.each(cases)('$name: what is written is what was read', async ({ name, folder }) => {
    const model = await adapted(folder);
    const own = join(scratch, `${device}-${name}`);
    mkdirSync(own);
    writeAdapterConfig(own, readAdapterFolder(folder).config, kBase);
    await model.saveAdapter(join(own, 'adapter_model.safetensors'));
    expect(readAdapterFolder(own).config).toEqual(readAdapterFolder(folder).config);
    expect(readTensors(join(own, 'adapter_model.safetensors'))).toEqual(
      readTensors(join(folder, 'adapter_model.safetensors')),
    );
  });
});
