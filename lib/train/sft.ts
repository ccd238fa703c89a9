/** Supervised training on prompts with given completions: the loss is the mean over all completion tokens of the batch. */
import type { UpdateResult } from '../native/index.js';
import type { SftConfig } from './config.js';
import { concatenate, onCompletion } from './policy-batch.js';
import {
  type Stage,
  type StageContext,
  type StepOutcome,
  type StepRequest,
  Stopwatch,
  type TrainableModel,
} from './stage.js';

export interface SftExample {
  readonly prompt: Int32Array;
  /** The stop token included. */
  readonly completion: Int32Array;
}

/** The example that a position of the stage stands for. */
export type ExampleSource = (position: number) => SftExample;

export function sftStage(context: StageContext, config: SftConfig, exampleAt: ExampleSource): Stage {
  return {
    casesPerStep: config.batch,
    step: (request) => sftStep(context, config, exampleAt, request),
    dispose: async () => {},
  };
}

async function sftStep(
  { model }: StageContext,
  config: SftConfig,
  exampleAt: ExampleSource,
  request: StepRequest,
): Promise<StepOutcome> {
  const watch = new Stopwatch();
  const start = request.stageStep * config.batch;
  const examples = Array.from({ length: config.batch }, (_, offset) => exampleAt(start + offset));
  const { metrics, skipped } = await imitate(model, config, examples, request, watch);
  const lengths = examples.map(({ completion }) => completion.length);
  return {
    metrics: { ...metrics, 'completions/mean_length': sum(lengths) / config.batch },
    seconds: watch.stop(),
    phaseTokens: watch.phaseTokens,
    samples: [],
    tokens: sum(lengths) + sum(examples.map(({ prompt }) => prompt.length)),
    updates: skipped ? 0 : 1,
    skipped: skipped ? 1 : 0,
    withoutSignal: false,
  };
}

/** One update towards the examples. */
export async function imitate(
  model: TrainableModel,
  config: OptimizerSettings & BatchSettings,
  examples: readonly SftExample[],
  request: StepRequest,
  watch: Stopwatch,
): Promise<{ readonly metrics: Readonly<Record<string, number>>; readonly skipped: boolean }> {
  const lossTokens = sum(examples.map(({ completion }) => completion.length));
  const sequences = examples.map(({ prompt, completion }) => concatenate(prompt, completion));
  const result = await model.accumulateGradients(
    {
      kind: 'supervised',
      sequences,
      weight: examples.map(({ prompt, completion }) => onCompletion(prompt, completion, () => 1 / lossTokens)),
      ...batchSettings(config),
      dropoutSeed: request.dropoutSeed,
    },
    { signal: request.signal },
  );
  watch.countTokens('update', sequences);
  watch.add('forward', result.forwardSeconds);
  watch.add('head', result.headSeconds);
  watch.add('backward', result.backwardSeconds);
  const update = await watch.time('update', () =>
    model.applyGradients({
      ...optimizerSettings(config),
      learningRate: request.learningRate,
      step: request.optimizerStep + 1,
    }),
  );
  return { metrics: { loss: result.loss, ...gradientMetrics(update) }, skipped: update.skipped };
}

type BatchSettings = Pick<SftConfig, 'maxBatchTokens' | 'recompute' | 'headChunkRows'>;

/** How a gradient is cut to fit into memory. */
export function batchSettings({ maxBatchTokens, recompute, headChunkRows }: BatchSettings): BatchSettings {
  return { maxBatchTokens, recompute, headChunkRows };
}

/** The settings of AdamW and of gradient clipping that do not change from step to step. */
export function optimizerSettings(config: OptimizerSettings) {
  const { beta1, beta2, epsilon, weightDecay, weightDecayGroups: decayGroups, maxGradientNorm } = config;
  return { beta1, beta2, epsilon, weightDecay, decayGroups, maxGradientNorm };
}

type OptimizerSettings = Pick<
  SftConfig,
  'beta1' | 'beta2' | 'epsilon' | 'weightDecay' | 'weightDecayGroups' | 'maxGradientNorm'
>;

/** Norms before clipping, of the whole gradient and by parameter group. */
export function gradientMetrics({ gradientNorm, gradientNorms }: UpdateResult): Record<string, number> {
  const groups = Object.entries(gradientNorms).map(([group, norm]) => [`grad_norm/${group}`, norm]);
  return { grad_norm: gradientNorm, ...Object.fromEntries(groups) };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
