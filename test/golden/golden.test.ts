import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openSession } from '../../lib/native/index.js';
import {
  asTokens,
  differences,
  fixtureModels,
  fixtureNames,
  mean,
  openModel,
  readGolden,
  readTensors,
  relativeDistance,
} from './support.js';

// The bounds of the project: log-probabilities in f32, and the norm of a gradient's error over the gradient's norm.
const LOGPROB_TOLERANCE = 2e-5;
const GRADIENT_TOLERANCE = 1e-4;

test('there is a golden for every member of the family', () => {
  expect(fixtureNames).toEqual(['llama-linear', 'llama3-scaled', 'mistral', 'qwen2-tied', 'qwen2-untied', 'qwen3']);
});

describe.each(['cpu', 'reference'] as const)('on %s', (device) => {
  const session = openSession({ device, threads: 2 });
  afterAll(() => session.close());

  describe.each(fixtureNames)('%s', (name) => {
    const folder = join(fixtureModels, name);
    const golden = readGolden(name);

    test('f32 log-probabilities are those of transformers', async () => {
      const model = await openModel(session, folder, 'f32');
      const scores = await model.score({ sequences: asTokens(golden.sequences) });
      expect(Math.max(...differences(scores, golden.logprobs_f32))).toBeLessThan(LOGPROB_TOLERANCE);
      expect(Math.max(...differences(scores, golden.logprobs_f64))).toBeLessThan(LOGPROB_TOLERANCE);
      await model.dispose();
    });

    test('bf16 is no further from the truth than the bf16 of transformers', async () => {
      const model = await openModel(session, folder, 'bf16');
      const scores = await model.score({ sequences: asTokens(golden.sequences) });
      const ours = mean(differences(scores, golden.logprobs_f64));
      const theirs = mean(
        golden.logprobs_bf16.flatMap((row, s) =>
          row.map((v, i) => Math.abs(v - (golden.logprobs_f64[s]?.[i] as number))),
        ),
      );
      expect(ours).toBeGreaterThan(1e-4); // f32 in disguise would be below
      expect(ours).toBeLessThanOrEqual(theirs);
      await model.dispose();
    });

    test('greedy tokens are those of transformers', async () => {
      const model = await openModel(session, folder, 'f32');
      const { completions } = await model.generate({
        prompts: asTokens(golden.greedy.map((g) => g.prompt)),
        maxTokens: 24,
        temperature: 0,
        ignoreStopTokens: true,
      });
      expect(completions.map((of) => of.map((c) => Array.from(c.tokens)))).toEqual(
        golden.greedy.map((g) => [g.continuation]),
      );
      await model.dispose();
    });

    test('gradients of every tensor are those of transformers', async () => {
      const model = await openModel(session, folder, 'f32');
      await model.enableTraining();
      const result = await model.accumulateGradients({
        sequences: asTokens(golden.sequences),
        kind: 'supervised',
        weight: golden.weights.map((row) => Float32Array.from(row)),
      });
      expect(Math.abs(result.loss / golden.loss.f64 - 1)).toBeLessThan(1e-5);
      const truth = readTensors(join(folder, 'gradients.safetensors'));
      for (const [tensor, gradient] of truth) {
        const distance = relativeDistance(await model.readTensor(tensor, 'gradient'), gradient);
        expect(distance, tensor).toBeLessThan(GRADIENT_TOLERANCE);
      }
      await model.dispose();
    });

    test('bf16 gradients are on average no further from the truth than those of transformers', async () => {
      const model = await openModel(session, folder, 'bf16');
      await model.enableTraining();
      await model.accumulateGradients({
        sequences: asTokens(golden.sequences),
        kind: 'supervised',
        weight: golden.weights.map((row) => Float32Array.from(row)),
      });
      const ours: number[] = [];
      for (const [tensor, gradient] of readTensors(join(folder, 'gradients.safetensors')))
        ours.push(relativeDistance(await model.readTensor(tensor, 'gradient'), gradient));
      expect(mean(ours)).toBeLessThanOrEqual(mean(Object.values(golden.gradientDistance_bf16)));
      await model.dispose();
    });
  });
});

test('the comparison can fail: a wrong weight is seen by scores and gradients', async () => {
  const golden = readGolden('qwen2-tied');
  const session = openSession({ device: 'cpu', threads: 1 });
  const model = await openModel(session, join(fixtureModels, 'qwen2-untied'), 'f32');
  const inRange = golden.sequences.map((sequence) => sequence.map((token) => token % 97));
  const scores = await model.score({ sequences: asTokens(inRange) });
  expect(Math.max(...differences(scores, golden.logprobs_f32))).toBeGreaterThan(0.1);
  await session.close();
});
