/** Settings of published systems, and one that runs anywhere. Every number has its source in `sources`, which a test checks. */
import type { TrainConfig } from './config-schema.js';

export interface Preset {
  readonly summary: string;
  /** What it leaves out (model, data, output) is the user's to give. */
  readonly settings: PresetSettings;
  /** Where the numbers under a path (`stages.0.kl` covers all below it) come from. */
  readonly sources: readonly (readonly [paths: readonly string[], source: string])[];
}

type Settings = Omit<Partial<TrainConfig>, 'stages' | 'model' | 'data'> & {
  readonly model?: Partial<TrainConfig['model']>;
  readonly data?: Partial<TrainConfig['data']>;
};
export type PresetSettings = Settings & { readonly stages: readonly TrainConfig['stages'][number][] };

const kTinyZero = 'scripts/train_tiny_zero.sh of ulab-uiuc/IRanker at f32eb9e';
const kVeRL = 'defaults of the veRL vendored there (ppo_trainer.yaml)';
const kOurs = 'ours';

/** The paper is second-hand: temperature 0.9, KL 1e-4, mini-batch 36 and 5 epochs there differ from the authors' script. */
const kPpo = {
  kind: 'ppo',
  steps: 1500,
  prompts: 64,
  group: 1,
  maxTokens: 1024,
  temperature: 1,
  miniBatch: 32,
  clipLow: 0.2,
  clipHigh: 0.2,
  kl: { coefficient: 0.001, estimator: 'k3', place: 'loss' },
  reference: 'stage-start',
  entropyCoefficient: 0.001,
  discount: 1,
  lambda: 1,
  learningRate: 1e-6,
  weightDecay: 0.01,
  beta1: 0.9,
  beta2: 0.999,
  maxGradientNorm: 1,
  critic: { body: 'own', learningRate: 2e-6, clip: 0.5 },
} as const;

const kPpoSources: Preset['sources'] = [
  [
    ['stages.0.steps', 'stages.0.prompts', 'stages.0.maxTokens', 'stages.0.miniBatch', 'stages.0.temperature'],
    `${kTinyZero}: train_batch_size 64, ppo_mini_batch_size 32, response 1024, temperature 1.0, a cap of 1501 that ends after 1500`,
  ],
  [['stages.0.group'], `${kTinyZero}: rollout.n 1`],
  [['stages.0.learningRate', 'stages.0.critic.learningRate'], `${kTinyZero}: actor 1e-6, critic 2e-6`],
  [
    ['stages.0.kl'],
    `${kVeRL}: kl_loss_coef 0.001, low_var_kl; upstream subtracts the term (a defect), here it is added`,
  ],
  [
    ['stages.0.clipLow', 'stages.0.clipHigh', 'stages.0.critic.clip', 'stages.0.entropyCoefficient'],
    `${kVeRL}: clip_ratio 0.2, cliprange_value 0.5, entropy_coeff 0.001`,
  ],
  [['stages.0.discount', 'stages.0.lambda'], `${kVeRL}: gamma 1.0, lam 1.0`],
  [
    ['stages.0.weightDecay', 'stages.0.beta1', 'stages.0.beta2', 'stages.0.maxGradientNorm'],
    `${kVeRL}: AdamW (0.9, 0.999), weight decay 0.01, grad_clip 1.0`,
  ],
  [['checkpoint'], `${kTinyZero}: save_freq 100; it keeps all, ours the newest`],
];

const kRankR1 = 'Rank-R1/train_grpo.py of ielab/llm-rankers at b36517b';
const kTrl15 = 'not in the script; defaults of TRL 0.15.2, the release in force';

export const kPresets = {
  'r1-ranker-iranker': {
    summary: 'IRanker: PPO on the exclusion of one candidate (R1-Ranker)',
    settings: {
      name: 'IRanker, settings of the R1-Ranker authors',
      notes: ['PPO with a learned critic, one completion a prompt; base Qwen2.5-3B-Instruct.'],
      protocol: { name: 'exclusion', compat: 'r1-ranker' },
      stages: [{ ...kPpo, name: 'PPO', sizes: { minimum: 2, maximum: 20 } }],
      checkpoint: { every: 100, keep: 2 },
    },
    sources: [
      ...kPpoSources,
      [['stages.0.sizes'], 'the case expansion of process_list: every size from 2 to all 20 candidates'],
    ],
  },
  'r1-ranker-dranker': {
    summary: 'DRanker: PPO on a whole ranking in one answer (R1-Ranker)',
    settings: {
      name: 'DRanker, settings of the R1-Ranker authors',
      notes: ['PPO with a learned critic, one completion a prompt; base Qwen2.5-3B-Instruct.'],
      protocol: { name: 'direct', compat: 'r1-ranker' },
      stages: [{ ...kPpo, name: 'PPO', steps: 1000, prompts: 2, miniBatch: 2 }],
      checkpoint: { every: 100, keep: 2 },
    },
    sources: [
      [
        ['stages.0.steps', 'stages.0.prompts', 'stages.0.miniBatch'],
        'scripts/train_dranker.sh of ulab-uiuc/R1-Ranker at f193fa2: batch 2, cap 1000; its mini-batch of 32 is larger than the batch, so 2',
      ],
      ...kPpoSources,
    ],
  },
  'rank-r1-v0.1': {
    summary: 'Rank-R1 v0.1: GRPO on the best of 20 passages',
    settings: {
      name: 'Rank-R1 v0.1',
      notes: [
        'Base Qwen2.5-3B, 7B or 14B-Instruct; MS MARCO passages, one relevant and up to 19 others a query.',
        'Unlike TRL 0.15.2, log-probabilities are taken at the sampling temperature, and a prompt that is too long is refused, not cut from the left.',
      ],
      model: {
        dtype: 'bf16',
        lora: { rank: 16, alpha: 32, dropout: 0.05, targets: ['q_proj', 'v_proj'] },
      },
      protocol: { name: 'setwise', wording: 'rank-r1', window: 20, topK: 10 },
      stages: [
        {
          ...{ kind: 'grpo', name: 'GRPO', steps: 9000, prompts: 8, group: 8, maxTokens: 2048 },
          ...{ temperature: 0.9, topK: 50, sizes: { minimum: 2, maximum: 20 } },
          ...{ advantage: 'group', normaliser: 'sequence', kl: { coefficient: 0.04 }, reference: 'stage-start' },
          ...{ learningRate: 1e-5, schedule: 'linear', weightDecay: 0, maxGradientNorm: 1 },
          ...{ beta1: 0.9, beta2: 0.999, maxBatchTokens: 8192 },
        },
      ],
      checkpoint: { every: 100, keep: 2 },
    },
    sources: [
      [['model'], `${kRankR1}: r 16, alpha 32, dropout 0.05; PEFT's targets for Qwen2 where none are named`],
      [['protocol'], 'Rank-R1/run_setwise.py: num_child 19, k 10'],
      [
        ['stages.0.steps'],
        'estimate: 18 % of 400,782 queries (the paper), 8 a step; the script runs to the end of the data',
      ],
      [
        ['stages.0.prompts', 'stages.0.group'],
        `${kRankR1}: num_generations 8, 16 completions a device; the README uses 4 GPUs`,
      ],
      [['stages.0.maxTokens', 'stages.0.learningRate'], `${kRankR1}: max_completion_length 2048, learning_rate 1e-5`],
      [['stages.0.sizes'], `${kRankR1} and create_dataset.py: one positive, up to 19 negatives`],
      [
        ['stages.0.temperature', 'stages.0.topK', 'stages.0.kl'],
        `${kTrl15}: temperature 0.9, generate's top_k 50, beta 0.04`,
      ],
      [
        ['stages.0.weightDecay', 'stages.0.maxGradientNorm', 'stages.0.beta1', 'stages.0.beta2'],
        'not in the script; defaults of transformers, clipping by the DeepSpeed file (auto = 1.0)',
      ],
      [['stages.0.maxBatchTokens', 'checkpoint'], kOurs],
    ],
  },
  'rank-r1-v0.2': {
    summary: 'Rank-R1 v0.2: GRPO on the best of 2 to 10 documents',
    settings: {
      name: 'Rank-R1 v0.2',
      notes: [
        'Base Qwen3-32B; the documents of reasonir-data-hn, each cut to 512 tokens.',
        'Upstream draws more large sets than small ones (weight = size); here sizes are uniform. The weights are bf16, upstream fp16.',
      ],
      model: { dtype: 'bf16', lora: { rank: 16, alpha: 32, targets: ['all-linear'] } },
      seed: 929,
      protocol: { name: 'setwise', wording: 'rank-r1-v0.2', window: 10, topK: 10 },
      stages: [
        {
          ...{ kind: 'grpo', name: 'GRPO', steps: 1000, prompts: 4, group: 16, maxTokens: 4096 },
          ...{ temperature: 1.2, sizes: { minimum: 2, maximum: 10 }, updates: 1 },
          ...{ advantage: 'group', normaliser: 'token', kl: { coefficient: 0.001 }, reference: 'stage-start' },
          ...{ learningRate: 1e-5, schedule: 'linear', maxBatchTokens: 8192 },
        },
      ],
      checkpoint: { every: 20, keep: 2 },
    },
    sources: [
      [['model'], 'Rank-R1/train_grpo_v0.2.py: r 16, alpha 32 on q, k, v, o, gate, up, down'],
      [['seed', 'stages.0.sizes'], 'Rank-R1/create_dataset for v0.2: seed 929, 2 to 10 documents'],
      [['protocol'], 'README of Rank-R1: 10 documents a prompt'],
      [
        ['stages.0.group', 'stages.0.maxTokens', 'stages.0.temperature', 'stages.0.kl', 'stages.0.updates'],
        'Rank-R1/train_grpo_v0.2.py: num_generations 16, completion 4096, temperature 1.2, beta 0.001, num_iterations 1',
      ],
      [['stages.0.learningRate', 'checkpoint.every'], 'Rank-R1/train_grpo_v0.2.py: learning_rate 1e-5, save_steps 20'],
      [
        ['stages.0.steps', 'stages.0.prompts', 'stages.0.maxBatchTokens', 'checkpoint.keep'],
        `${kOurs}: one epoch on an unknown number of GPUs there`,
      ],
    ],
  },
  'grpo-small': {
    summary: 'warm-up and GRPO of a decoder with random weights on a task made on the spot: minutes on a CPU',
    settings: {
      name: 'GRPO on a small task',
      model: {
        scratch: { width: 96, layers: 3, heads: 6, feedForward: 256, maxPositions: 256, standardDeviation: 0.06 },
      },
      data: { task: { name: 'synthetic', users: 800, testShare: 0.25, candidates: 8 } },
      protocol: { name: 'exclusion', wording: 'compact' },
      stages: [
        {
          ...{ kind: 'sft', name: 'warm-up', steps: 800, batch: 24 },
          sizes: { minimum: 2, maximum: 8, rampSteps: 300 },
          demonstrations: { corruptShare: 0.68 },
          ...{ learningRate: 3e-3, schedule: 'cosine', warmupSteps: 20, beta2: 0.95, maxBatchTokens: 4096 },
        },
        {
          ...{ kind: 'grpo', name: 'GRPO', steps: 320, prompts: 32, group: 8, sizes: { minimum: 2, maximum: 8 } },
          ...{ maxTokens: 64, learningRate: 3e-4, maxBatchTokens: 4096 },
        },
      ],
      evaluation: { instances: 200, maxTokens: 64, resamples: 2000 },
      checkpoint: { every: 100, keep: 2 },
    },
    sources: [
      [
        ['model', 'data', 'stages', 'evaluation', 'checkpoint'],
        'ours, measured: docs/log.md, "Does GRPO help in the demo"',
      ],
    ],
  },
} as const satisfies Readonly<Record<string, Preset>>;

export type PresetName = keyof typeof kPresets;
export const presetNames = Object.keys(kPresets) as readonly PresetName[];
