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

/** PPO, whose critic is a second model with moments of its own. */
export function tinyRunWithCritic(output: string): TrainConfig {
  const run = tinyRun(output);
  const [sft] = run.stages;
  const sampling = { prompts: 4, group: 2, maxTokens: 24, learningRate: 0.005, maxBatchTokens: 256 };
  const ppo = { kind: 'ppo', steps: 5, ...sampling, updates: 2, miniBatch: 2, critic: { warmupSteps: 1 } } as const;
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
