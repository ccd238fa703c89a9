/** The settings of a run: one schema for YAML files and for objects given to `train`. Every key and every default is here and in policy-schema.ts. */
import * as z from 'zod';
import { protocolSchema } from '../protocol/index.js';
import { kSteeringMeasures } from './best.js';
import { policyFields, ppoFields, rolloutFields } from './policy-schema.js';

const kCount = z.number().int().positive();
const kIndex = z.number().int().nonnegative();
const kFraction = z.number().min(0).max(1);

const kScratch = z.strictObject({
  width: kCount,
  layers: kCount,
  heads: kCount,
  /** Default: `heads`. */
  kvHeads: kCount.optional(),
  /** Default: width / heads. */
  headDim: kCount.optional(),
  /** Default: 8/3 of the width, rounded up to a multiple of 8. */
  feedForward: kCount.optional(),
  maxPositions: kCount.default(1024),
  tiedHead: z.boolean().default(true),
  /** The Qwen3 form: queries and keys are normalised. False gives the Llama form. */
  qkNorm: z.boolean().default(true),
  /** Biases of the four projections of attention: a head can then attend to a distance whatever the tokens are. */
  attentionBias: z.boolean().default(false),
  ropeTheta: z.number().positive().default(10_000),
  standardDeviation: z.number().positive().default(0.02),
  /** A word that the training texts hold this often is a token; others are spelled in bytes. With 1 no byte is trained: unseen words are noise. */
  minimumWordCount: kCount.default(1),
});

/** Low-rank adapters on frozen weights: see docs/lora.md. */
const kLora = z.strictObject({
  /** Training goes on from the adapter in this folder, whose rank, alpha, rsLora and targets it keeps. */
  from: z.string().min(1).optional(),
  /** Default: 16. */
  rank: kCount.optional(),
  /** What is learned counts alpha / rank times. Default: 32. */
  alpha: z.number().positive().optional(),
  /** Probability of dropping an input of an adapter in training passes; sampling never drops. */
  dropout: z.number().min(0).lt(1).default(0),
  /** The scale is alpha / sqrt(rank). Default: false. */
  rsLora: z.boolean().optional(),
  /** Names of linear layers, e.g. q_proj, or ends of their paths, e.g. layers.0.mlp.up_proj; default: `all-linear`, those of all layers. */
  targets: z.array(z.string().min(1)).min(1).optional(),
});

const kModel = z.strictObject({
  /** A folder in the Hugging Face layout. */
  folder: z.string().min(1).optional(),
  /** A decoder with random weights, and a word tokenizer made from the texts of the task. */
  scratch: kScratch.optional(),
  dtype: z.enum(['f32', 'bf16']).default('f32'),
  /** Of keys and values, in sampling and training alike: bf16 halves the memory that they take and rounds them. Default: `dtype`. */
  keyValueDtype: z.enum(['f32', 'bf16']).optional(),
  /** Train a low-rank adapter and leave the weights of `folder` as they are; checkpoints hold the adapter alone. */
  lora: kLora.optional(),
});

/** Default of every `seed` of a task: the seed of the run. */
const kTask = z.discriminatedUnion('name', [
  z.strictObject({
    name: z.literal('synthetic'),
    seed: kIndex.optional(),
    users: kCount.default(400),
    testShare: z.number().gt(0).lt(1).optional(),
    genres: kCount.optional(),
    wordsPerGenre: kCount.optional(),
    noiseWords: kIndex.optional(),
    itemsPerGenre: kCount.optional(),
    candidates: kCount.optional(),
    history: kCount.optional(),
    fidelity: z.number().gt(0).max(1).optional(),
  }),
  z.strictObject({
    name: z.enum(['Rec-Movie', 'Rec-Music', 'Rec-Game']),
    /** A folder with RecBole atomic files, or with history lists. */
    source: z.string().min(1),
    seed: kIndex.optional(),
    users: kCount.optional(),
    history: kCount.optional(),
    negatives: kCount.optional(),
    negativesFrom: z.enum(['items', 'lists']).optional(),
    window: z.enum(['first', 'last']).optional(),
    /** Instances per training user, from stretches of the user's whole sequence. */
    trainWindows: kCount.optional(),
    testShare: z.number().gt(0).lt(1).optional(),
  }),
]);

const kSource = {
  /** A task that builds its instances itself. */
  task: kTask.optional(),
  /** JSON lines of RankingInstance. */
  train: z.string().min(1).optional(),
  test: z.string().min(1).optional(),
};

const kData = z.strictObject({
  ...kSource,
  /** Several sources; each example is drawn from one of them with a probability in proportion to its weight. */
  mixture: z
    .array(z.strictObject({ ...kSource, weight: z.number().positive().default(1) }))
    .min(2)
    .optional(),
});

const kSchedule = {
  learningRate: z.number().positive(),
  /** `wsd`: warm-up, stable, decay in the last `decaySteps` steps. */
  schedule: z.enum(['constant', 'linear', 'cosine', 'wsd']).default('constant'),
  warmupSteps: kIndex.default(0),
  /** The last rate of `linear`, `cosine` and `wsd`, as a fraction of the first. */
  floor: kFraction.default(0),
  /** Of `wsd`; default: a tenth of the steps. */
  decaySteps: kCount.optional(),
};

const kOptimizer = {
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.999),
  epsilon: z.number().positive().default(1e-8),
  weightDecay: z.number().min(0).default(0),
  /** Parameters that decay; `embedding` includes a tied head. */
  weightDecayGroups: z
    .array(z.enum(['embedding', 'attention', 'mlp', 'head', 'norm', 'bias']))
    .default(['embedding', 'attention', 'mlp', 'head']),
  /** Global norm above which the gradient is scaled down; 0 = never. */
  maxGradientNorm: z.number().min(0).default(1),
};

const kBatch = {
  /** Tokens computed at once; a larger batch is split and its gradients are added up. */
  maxBatchTokens: kCount.default(1024),
  /** `layer`: of a forward pass the layers' inputs are kept, and the rest is computed again for the gradient, to the same bits. */
  recompute: z.enum(['none', 'layer']).default('none'),
  /** Completion tokens whose logits exist at once: many save time, few save memory. Multiples of 32 differ in the rounding of metrics alone. */
  headChunkRows: kCount.default(512),
};

/** Numbers of candidates of the cases, drawn uniformly; default: all candidates. */
const kSizes = z.strictObject({
  minimum: z.number().int().min(2),
  maximum: z.number().int().min(2),
  /** Steps in which the largest size grows from `minimum` to `maximum`, easy cases first; 0 = `maximum` from the start. */
  rampSteps: kIndex.default(0),
});

const kSft = z.strictObject({
  kind: z.literal('sft'),
  name: z.string().min(1).default('warm-up'),
  steps: kCount,
  /** Examples per step. */
  batch: kCount,
  /** JSON lines of {"messages", "prefix"?, "completion"}; without it, demonstrations on the training instances. */
  examples: z.string().min(1).optional(),
  demonstrations: z
    .strictObject({
      /** Share of the demonstrations whose judgements are random. */
      corruptShare: kFraction.default(0),
      /** `names`: texts and labels of the candidates that the answer names. `scores` (recommendation tasks): a grade for every candidate shown. */
      thought: z.enum(['none', 'names', 'scores']).default('none'),
    })
    .default({ corruptShare: 0, thought: 'none' }),
  sizes: kSizes.optional(),
  ...kSchedule,
  ...kOptimizer,
  ...kBatch,
});

const kThoughts = {
  /** Thoughts that earned more than `minimumReward`, at most `perCase` of a case, go to thoughts.jsonl of the run folder. */
  keepThoughts: z.strictObject({ minimumReward: z.number().default(0), perCase: kCount.default(1) }).optional(),
};

const kGrpo = z.strictObject({
  kind: z.literal('grpo'),
  name: z.string().min(1).default('grpo'),
  steps: kCount,
  ...rolloutFields,
  sizes: kSizes.optional(),
  ...kThoughts,
  ...policyFields,
  ...kSchedule,
  ...kOptimizer,
  ...kBatch,
});

/** PPO with a learned critic. */
const kPpo = z.strictObject({
  kind: z.literal('ppo'),
  name: z.string().min(1).default('ppo'),
  steps: kCount,
  ...ppoFields,
  sizes: kSizes.optional(),
  ...kThoughts,
  ...kSchedule,
  ...kOptimizer,
  ...kBatch,
});

/** Rejection-sampling fine-tuning: supervised training on the best completion of each group. */
const kBestOfN = z.strictObject({
  kind: z.literal('best-of-n'),
  name: z.string().min(1).default('best-of-n'),
  steps: kCount,
  ...rolloutFields,
  sizes: kSizes.optional(),
  /** The best completion of a group is left out when it earned less; default: never. */
  minimumReward: z.number().optional(),
  ...kSchedule,
  ...kOptimizer,
  ...kBatch,
});

const kEvaluation = z.strictObject({
  /** Instances of the test set, the first ones; default: all. */
  instances: kCount.optional(),
  /** Also during a stage, every so many steps; 0 = only before the first stage and after each. */
  everySteps: kIndex.default(0),
  /** A stage ends after so many of its evaluations in a row without a gain in `measure`. */
  patience: z
    .strictObject({
      evaluations: kCount,
      measure: z.enum(kSteeringMeasures).default('mrr'),
      /** A gain of at most this much is none. */
      minimumGain: z.number().min(0).default(0),
    })
    .optional(),
  maxTokens: kCount,
  /** 0 = the most likely token each time. */
  temperature: z.number().min(0).default(0),
  /** Cut-off of nDCG. */
  k: kCount.default(10),
  resamples: kCount.default(1000),
  /** Besides chance; they need a task that tells what the training users took. */
  baselines: z.array(z.enum(['popularity', 'bpr', 'cosine', 'co-occurrence'])).default(['popularity']),
  malformed: z.enum(['retry', 'keep_order', 'fail']).default('keep_order'),
  retries: kIndex.default(1),
});

const kCheckpoint = z.strictObject({
  every: kCount.default(50),
  /** How many of the newest stay. */
  keep: kCount.default(2),
  /** The one with the best evaluation stays too. */
  best: z.strictObject({ measure: z.enum(kSteeringMeasures) }).optional(),
});

const kReport = z.strictObject({
  /** Steps between two states of report.html, and between two that keep completions. */
  everySteps: kCount.default(10),
  /** Prompts whose completions are kept then. */
  samples: kIndex.default(2),
  /** `winnow train` writes TensorBoard event files into the run folder. */
  tensorBoard: z.boolean().default(true),
  /** What the device can do, in TFLOP/s; then timing.jsonl has the utilisation. */
  peakTeraflops: z.number().positive().optional(),
});

/** How what trains is kept; docs/memory.md has the bytes. */
const kForms = z.strictObject({
  /** `8bit`: of matrices, with a scale for every block of 256 (Dettmers et al. 2022). */
  moments: z.enum(['f32', '8bit']).default('f32'),
  /** `split`: of linear layers, as the packed weight and what rounding cut off; the run is the same, bit for bit. */
  masters: z.enum(['f32', 'split']).default('f32'),
});

export const TrainConfigSchema = z.strictObject({
  name: z.string().min(1).default('Winnow training run'),
  /** Shown at the top of the report. */
  notes: z.array(z.string()).default([]),
  seed: kIndex.default(0),
  device: z.enum(['auto', 'cpu', 'reference', 'cuda']).default('auto'),
  /** 0 = every core. */
  threads: kIndex.default(0),
  output: z.string().min(1),
  model: kModel,
  optimizer: kForms.default({ moments: 'f32', masters: 'f32' }),
  data: kData,
  protocol: protocolSchema.default({ name: 'exclusion' }),
  stages: z.array(z.discriminatedUnion('kind', [kSft, kGrpo, kPpo, kBestOfN])).min(1),
  evaluation: kEvaluation.optional(),
  checkpoint: kCheckpoint.default({ every: 50, keep: 2 }),
  report: kReport.default({ everySteps: 10, samples: 2, tensorBoard: true }),
});

/** What a caller writes: fields with a default may be left out. */
export type TrainConfig = z.input<typeof TrainConfigSchema>;
export type ResolvedConfig = z.output<typeof TrainConfigSchema>;
export type StageConfig = ResolvedConfig['stages'][number];
export type SftConfig = Extract<StageConfig, { kind: 'sft' }>;
export type BestOfNConfig = Extract<StageConfig, { kind: 'best-of-n' }>;
export type GrpoConfig = Extract<StageConfig, { kind: 'grpo' }>;
export type PpoConfig = Extract<StageConfig, { kind: 'ppo' }>;
export type DataConfig = ResolvedConfig['data'];
export type SourceConfig = Omit<DataConfig, 'mixture'>;
export type EvaluationConfig = NonNullable<ResolvedConfig['evaluation']>;
export type ScratchConfig = NonNullable<ResolvedConfig['model']['scratch']>;
