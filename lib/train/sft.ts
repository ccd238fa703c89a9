/** Supervised training on prompts with given completions: the loss is the mean over all completion tokens of the batch. */
import type { SftConfig } from './config.js';
import { concatenate, onCompletion } from './policy-batch.js';
import { type Stage, type StageContext, type StepOutcome, type StepRequest, Stopwatch } from './stage.js';

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
  const lossTokens = examples.reduce((sum, { completion }) => sum + completion.length, 0);
  const sequences = examples.map(({ prompt, completion }) => concatenate(prompt, completion));
  const result = await model.accumulateGradients(
    {
      kind: 'supervised',
      sequences,
      weight: examples.map(({ prompt, completion }) => onCompletion(prompt, completion, () => 1 / lossTokens)),
      maxBatchTokens: config.maxBatchTokens,
    },
    { signal: request.signal },
  );
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
  return {
    metrics: {
      loss: result.loss,
      grad_norm: update.gradientNorm,
      'completions/mean_length': lossTokens / config.batch,
    },
    seconds: watch.stop(),
    samples: [],
    tokens: sequences.reduce((sum, { length }) => sum + length, 0),
    updates: update.skipped ? 0 : 1,
    skipped: update.skipped ? 1 : 0,
    withoutSignal: false,
  };
}

/** The settings of AdamW and of gradient clipping that do not change from step to step. */
export function optimizerSettings({ beta1, beta2, epsilon, weightDecay, maxGradientNorm }: OptimizerSettings) {
  return { beta1, beta2, epsilon, weightDecay, maxGradientNorm };
}

type OptimizerSettings = Pick<SftConfig, 'beta1' | 'beta2' | 'epsilon' | 'weightDecay' | 'maxGradientNorm'>;
