/** The settings of stages that sample: what is sampled, and what the policy's loss is made of. */
import * as z from 'zod';

const kCount = z.number().int().positive();
const kIndex = z.number().int().nonnegative();

/** Of every stage that samples. */
const samplingFields = {
  /** Prompts per step. */
  prompts: kCount,
  /** Completions per prompt. */
  group: kCount,
  maxTokens: kCount,
  /** The forward pass of up to so many bytes is kept while sampling and not repeated for the gradient; 0 = always repeated. */
  maxActivationBytes: kIndex.default(2 ** 31),
  temperature: z.number().positive().default(1),
  topK: kIndex.default(0),
  topP: z.number().gt(0).max(1).default(1),
  minP: z.number().min(0).max(1).default(0),
  /** `random`: the protocol's training cases. `policy`: the questions that the model comes to when it ranks by itself. */
  states: z.enum(['random', 'policy']).default('random'),
  /** From `maxTokens - buffer` tokens on, up to `penalty` is taken from the reward (DAPO). */
  overlong: z.strictObject({ buffer: kCount, penalty: z.number().positive().default(1) }).optional(),
};

export const rolloutFields = {
  ...samplingFields,
  /** Groups of equal rewards give way to new ones, in at most so many rounds (DAPO). */
  dynamicSampling: z.strictObject({ rounds: kCount.default(3) }).optional(),
};

/** Of every policy-gradient update. */
const updateFields = {
  normaliser: z.enum(['token', 'sequence', 'constant']).default('token'),
  /** Completions that ran into maxTokens bear no loss. */
  maskTruncated: z.boolean().default(false),
  /** Passes over one batch of completions; clipping acts from the second update on. */
  updates: kCount.default(1),
  /** Prompts per update; default: all. */
  miniBatch: kCount.optional(),
  /** Default: 0.2 for `clip`, 3e-4 for `gspo`, 1 (no bound) for `cispo`. */
  clipLow: z.number().min(0).optional(),
  /** Default: 0.2 for `clip`, 4e-4 for `gspo`, 4 for `cispo`. */
  clipHigh: z.number().min(0).optional(),
  /** The ratio's bound where the advantage is negative; commonly 3. */
  dualClip: z.number().gt(1).optional(),
  /** Divergence from `reference`, added to the loss or taken from the reward. */
  kl: z
    .strictObject({
      coefficient: z.number().positive(),
      estimator: z.enum(['k1', 'k2', 'k3']).default('k3'),
      place: z.enum(['loss', 'reward']).default('loss'),
      /** In the loss: times the ratio, so that the mean gradient is that of KL(policy || reference). */
      corrected: z.boolean().default(false),
    })
    .optional(),
  /** `stage-start`: the policy at the beginning of this stage; `base`: the model without its adapter (LoRA); else a model folder. */
  reference: z.string().min(1).optional(),
  /** Every so many steps: reference = mix x policy + (1 - mix) x reference. */
  referenceSync: z.strictObject({ everySteps: kCount, mix: z.number().gt(0).max(1).default(1) }).optional(),
  entropyCoefficient: z.number().min(0).default(0),
};

export const policyFields = {
  /** `group`: z-score. `mean`: Dr. GRPO. `leave-one-out`: RLOO. `batch`: REINFORCE++; `group-mean-batch-std`: its -baseline. */
  advantage: z.enum(['group', 'mean', 'leave-one-out', 'batch', 'group-mean-batch-std']).default('group'),
  /** `clip`: PPO's surrogate. `gspo`: with the sequence's ratio. `cispo`: with the ratio as a bounded weight. */
  loss: z.enum(['clip', 'gspo', 'cispo']).default('clip'),
  ...updateFields,
  /** Groups of the last `maxAge` steps trained on again, so many a step, each token weighed by min(its ratio, `truncation`). */
  replay: z
    .strictObject({ groups: kCount, maxAge: kCount.default(4), truncation: z.number().positive().default(2) })
    .optional(),
};

/** With a critic every completion has a signal of its own: nothing is refilled, and one completion a prompt is enough. */
export const ppoFields = {
  ...samplingFields,
  /** Completions per prompt. */
  group: kCount.default(1),
  ...updateFields,
  /** Of a reward one token later; gamma. */
  discount: z.number().gt(0).max(1).default(1),
  /** 1: advantages are returns less values. Lower: more by the values, with less variance. */
  lambda: z.number().min(0).max(1).default(1),
  /** Advantages of a step get mean 0 and variance 1 over its tokens. */
  whiten: z.boolean().default(true),
  critic: z
    .strictObject({
      /** `own`: a copy of the policy with an optimizer of its own. `shared`: a head on the policy's body. */
      body: z.enum(['own', 'shared']).default('own'),
      /** Of `own`: a checkpoint's `critic`, or any folder of the same vocabulary; default: the policy at the stage's beginning. */
      folder: z.string().min(1).optional(),
      /** Of `own`, at its highest; default: the policy's. It follows the stage's schedule. */
      learningRate: z.number().positive().optional(),
      /** Of `shared`: of the value loss beside the policy's; default 0.1. */
      coefficient: z.number().positive().optional(),
      /** How far a value may move from that of the rollout and still earn by it; default: any distance. */
      clip: z.number().positive().optional(),
      /** Of `own`: steps at the stage's beginning that train the critic alone. */
      warmupSteps: kIndex.default(0),
    })
    .default({ body: 'own', warmupSteps: 0 }),
};
