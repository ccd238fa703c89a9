/** A short run on the stand-in for the engine, with both kinds of stage, and its files. */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TrainConfig } from '../../lib/train/config.js';
import type { TrainEvent } from '../../lib/train/events.js';
import { type TrainOptions, train } from '../../lib/train/trainer.js';
import { type FakeBehaviour, type FakeModel, fakePrepare } from './fake-model.js';

const newFolder = () => join(mkdtempSync(join(tmpdir(), 'winnow-run-')), 'run');

export function makeConfig(change: Partial<TrainConfig> = {}): TrainConfig {
  return {
    output: newFolder(),
    seed: 3,
    model: { scratch: { width: 32, layers: 1, heads: 4 } },
    data: { task: { name: 'synthetic', users: 24, candidates: 5 } },
    protocol: { name: 'exclusion', wording: 'compact' },
    stages: [
      { kind: 'sft', steps: 3, batch: 4, learningRate: 0.1 },
      {
        kind: 'grpo',
        steps: 6,
        prompts: 4,
        group: 4,
        maxTokens: 40,
        learningRate: 5,
        sizes: { minimum: 2, maximum: 5 },
      },
    ],
    evaluation: { maxTokens: 40, everySteps: 2, resamples: 50, temperature: 1 },
    checkpoint: { every: 2, keep: 2 },
    report: { everySteps: 2, samples: 1 },
    ...change,
  };
}

export const fake = (behaviour: FakeBehaviour = {}, made: FakeModel[] = []): TrainOptions => ({
  prepare: fakePrepare(behaviour, made),
});

export async function events(config: TrainConfig, options: TrainOptions): Promise<TrainEvent[]> {
  const all: TrainEvent[] = [];
  for await (const event of train(config, options)) all.push(event);
  return all;
}

export const file = (config: TrainConfig, name: string) => readFileSync(join(config.output, name), 'utf8');
export const checkpoints = (config: TrainConfig) => readdirSync(join(config.output, 'checkpoints')).sort();
export const finalWeights = (config: TrainConfig) =>
  file(config, 'checkpoints/step-00000009/model.safetensors') +
  file(config, 'checkpoints/step-00000009/trainer_state/optimizer.safetensors');
