/**
 * Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300; Dr. GRPO: arXiv 2503.20783), on one page:
 *
 *   cases -> prompts -> groups of completions -> answers -> rewards -> advantages -> groups with signal -> gradient -> update
 *
 * The token ids that were sampled are the token ids that are trained on, the stop token included, and the activations of the sampling
 * are those of the gradient: the two passes agree bit for bit.
 */
import type { Completion } from '../types.js';
import { groupNormalised, meanOnly } from './advantage.js';
import { CaseSource, type PromptCase } from './cases.js';
import type { GrpoConfig } from './config.js';
import { judge } from './judge.js';
import { type PolicyBatch, policyBatch } from './policy-batch.js';
import { rolloutMetrics, rolloutSamples, updateMetrics } from './rollout-metrics.js';
import { optimizerSettings } from './sft.js';
import {
  type Stage,
  type StageContext,
  type StepOutcome,
  type StepRequest,
  Stopwatch,
  sizesOf,
  type TrainableModel,
} from './stage.js';

/** `reference` is the frozen policy of the KL term, if there is one; the stage disposes of it. */
export function grpoStage(context: StageContext, config: GrpoConfig, reference: TrainableModel | undefined): Stage {
  const sizes = sizesOf(config, context.instances);
  const cases = new CaseSource({ ...context, sizes, casesPerStep: config.prompts });
  return {
    casesPerStep: config.prompts,
    step: (request) => grpoStep({ ...context, config, cases, reference }, request),
    dispose: async () => reference?.dispose(),
  };
}

interface GrpoContext extends StageContext {
  readonly config: GrpoConfig;
  readonly cases: CaseSource;
  readonly reference: TrainableModel | undefined;
}

async function grpoStep(context: GrpoContext, request: StepRequest): Promise<StepOutcome> {
  const { config } = context;
  const watch = new Stopwatch();

  const cases = context.cases.slice(request.stageStep * config.prompts, config.prompts);
  const prompts = cases.map(({ prompt }) => context.sampler.render(prompt));
  const completions = await watch.time('generate', () => sampleGroups(context, cases, request));
  const judged = await watch.time('reward', () => judge(context.protocol, cases, completions));

  const rewards = judged.map(({ reward }) => reward.value);
  const advantages = (config.advantage === 'group' ? groupNormalised : meanOnly)(rewards, config.group);
  const sampled = {
    prompts,
    groupSize: config.group,
    completions: completions
      .flat()
      .map(({ tokens, logprobs, stop }) => ({ tokens, logprobs, truncated: isTruncated(stop) })),
  };
  const keepAll = config.klCoefficient > 0 || config.entropyCoefficient > 0;
  const batch = policyBatch(sampled, advantages, { ...config, keepAll });
  const update = await updatePolicy(context, batch, request, watch);

  const rollout = { cases, completions, judged, advantages, groupSize: config.group };
  return {
    metrics: { ...rolloutMetrics(rollout), ...update.metrics },
    samples: rolloutSamples(rollout, request.samples),
    seconds: watch.stop(),
    tokens: prompts.reduce((sum, { length }) => sum + length * config.group, 0) + countTokens(completions),
    updates: update.updates,
    skipped: update.skipped,
    withoutSignal: batch.sequences.length === 0,
  };
}

/** One group of completions per case. What is sampled depends on (seed, stage, case) alone. */
function sampleGroups(
  context: GrpoContext,
  cases: readonly PromptCase[],
  { signal }: StepRequest,
): Promise<Completion[][]> {
  const { maxTokens, maxActivationBytes, temperature, topK, topP, minP, group } = context.config;
  return context.sampler.complete(
    cases.map(({ prompt }) => prompt),
    {
      ...{ maxTokens, maxActivationBytes, temperature, topK, topP, minP },
      ...{ n: group, seed: context.seed, promptKeys: cases.map(({ key }) => key) },
    },
    { signal },
  );
}

/** `updates` optimizer steps on the same completions. Without a group with signal there is nothing to do. */
async function updatePolicy(
  { model, reference, config }: GrpoContext,
  { totalWeight, ...batch }: PolicyBatch,
  request: StepRequest,
  watch: Stopwatch,
): Promise<{ metrics: Record<string, number>; updates: number; skipped: number }> {
  const outcome = { metrics: {} as Record<string, number>, updates: 0, skipped: 0 };
  if (batch.sequences.length === 0) return outcome;
  const { temperature, maxBatchTokens, clipLow, clipHigh, klCoefficient, entropyCoefficient } = config;
  const options = { signal: request.signal };
  const referenceLogprob = await watch.time('reference', async () =>
    reference?.score({ sequences: batch.sequences, temperature, maxBatchTokens }, options),
  );
  for (let update = 0; update < config.updates; update++) {
    const loss = await model.accumulateGradients(
      {
        kind: 'policy_gradient',
        ...batch,
        ...(referenceLogprob === undefined ? {} : { referenceLogprob: referenceLogprob.map(withoutNaN) }),
        ...{ clipLow, clipHigh, klCoefficient, entropyCoefficient, temperature, maxBatchTokens },
      },
      options,
    );
    watch.add('forward', loss.forwardSeconds);
    watch.add('head', loss.headSeconds);
    watch.add('backward', loss.backwardSeconds);
    const step = request.optimizerStep + outcome.updates + 1;
    const applied = await watch.time('update', () =>
      model.applyGradients({ ...optimizerSettings(config), learningRate: request.learningRate, step }),
    );
    outcome.updates += applied.skipped ? 0 : 1;
    outcome.skipped += applied.skipped ? 1 : 0;
    Object.assign(
      outcome.metrics,
      updateMetrics(loss, applied, totalWeight, { first: update === 0, reference: reference !== undefined }),
    );
  }
  return outcome;
}

function isTruncated(stop: Completion['stop']): boolean {
  return stop === 'length' || stop === 'context';
}

function countTokens(completions: readonly (readonly Completion[])[]): number {
  return completions.flat().reduce((sum, { tokens }) => sum + tokens.length, 0);
}

/** The first token of a sequence has no log-probability, and no weight either. */
function withoutNaN(logprobs: Float32Array): Float32Array {
  return logprobs.map((value) => (Number.isNaN(value) ? 0 : value));
}
