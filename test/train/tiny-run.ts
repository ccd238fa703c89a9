/** A run of the real engine that takes a second: both kinds of stage, evaluations, and a checkpoint after every step. */
import type { TrainConfig } from '../../lib/train/config.js';

export function tinyRun(output: string): TrainConfig {
  return {
    output,
    seed: 5,
    device: 'cpu',
    threads: 1,
    model: { scratch: { width: 16, layers: 2, heads: 2, headDim: 8, feedForward: 24, maxPositions: 128 } },
    data: { task: { name: 'synthetic', users: 16, candidates: 4, history: 2 } },
    protocol: { name: 'exclusion', wording: 'compact' },
    stages: [
      { kind: 'sft', steps: 6, batch: 4, learningRate: 0.01, maxBatchTokens: 256 },
      { kind: 'grpo', steps: 6, prompts: 4, group: 4, maxTokens: 24, learningRate: 0.005, maxBatchTokens: 256 },
    ],
    evaluation: { maxTokens: 24, instances: 4, resamples: 20, everySteps: 3 },
    checkpoint: { every: 1, keep: 2 },
    report: { everySteps: 2, samples: 1 },
  };
}

/** The same with all that a GRPO stage remembers from step to step: groups to replay, a reference that follows, the best checkpoint. */
export function tinyRunWithHistory(output: string): TrainConfig {
  const run = tinyRun(output);
  const [, grpo] = run.stages;
  const memory = {
    ...{ miniBatch: 2, updates: 2, replay: { groups: 2 } },
    ...{ kl: { coefficient: 0.1 }, reference: 'stage-start', referenceSync: { everySteps: 2, mix: 0.5 } },
  };
  return {
    ...run,
    stages: [
      { kind: 'sft', steps: 2, batch: 4, learningRate: 0.01, maxBatchTokens: 256 },
      { ...grpo, ...memory } as never,
    ],
    checkpoint: { ...run.checkpoint, best: { measure: 'mrr' } },
  };
}

const kSampling = { prompts: 4, group: 2, maxTokens: 24, learningRate: 0.005, maxBatchTokens: 256 };

/** PPO, whose critic is a second model with moments of its own. */
export function tinyRunWithCritic(output: string): TrainConfig {
  const run = tinyRun(output);
  const [sft] = run.stages;
  const ppo = { kind: 'ppo', steps: 5, ...kSampling, updates: 2, miniBatch: 2, critic: { warmupSteps: 1 } } as const;
  return { ...run, stages: [{ ...sft, steps: 2 } as typeof ppo | Exclude<typeof sft, undefined>, ppo] };
}

/** A low-rank adapter with dropout on the weights of `base`, a model folder that another run left. */
export function tinyRunWithAdapter(output: string, base: string): TrainConfig {
  const run = tinyRun(output);
  return {
    ...run,
    model: { folder: base, dtype: 'bf16', lora: { rank: 2, alpha: 4, dropout: 0.1 } },
    stages: run.stages.map((stage) => ({ ...stage, steps: 4 })),
  };
}

/** All that saves memory: bf16, 8-bit moments, split masters, layers computed again; with groups drawn anew. */
export function tinyRunInLittleMemory(output: string): TrainConfig {
  const run = tinyRun(output);
  const [sft, grpo] = run.stages.map((stage) => ({ ...stage, recompute: 'layer', steps: 5 }) as typeof stage);
  return {
    ...run,
    model: { ...run.model, dtype: 'bf16' },
    optimizer: { moments: '8bit', masters: 'split' },
    stages: [sft as TrainConfig['stages'][number], { ...grpo, dynamicSampling: { rounds: 2 } } as never],
  };
}

/** PPO whose critic is a head on the policy's own body, after a stage that imitates the best of each group; 8-bit moments. */
export function tinyRunWithSharedCritic(output: string): TrainConfig {
  return {
    ...tinyRun(output),
    optimizer: { moments: '8bit' },
    stages: [
      { kind: 'best-of-n', steps: 4, ...kSampling, minimumReward: -1 },
      { kind: 'ppo', steps: 5, ...kSampling, updates: 2, critic: { body: 'shared' } },
    ],
  };
}
