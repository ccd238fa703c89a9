/**
 * Optimizer steps on the groups of one step: `updates` passes over them, each in mini-batches of `miniBatch` prompts. Until the
 * first update the current log-probabilities are those of the sampler, bit for bit, so that no forward pass is needed for them;
 * after it `score` gives them.
 */
import { stableKey } from '../random.js';
import type { GrpoConfig } from './config.js';
import { type PolicySequence, policyBatch, type SequencePlace, type TrainGroup } from './policy-batch.js';
import { type PolicyTerm, policyGradient, truncatedImportance } from './policy-gradient.js';
import { updateMetrics } from './rollout-metrics.js';
import { batchSettings, optimizerSettings } from './sft.js';
import type { ScoringModel, StepRequest, Stopwatch, TrainableModel } from './stage.js';

/** What an update goes by, whichever algorithm's it is. */
export type UpdateConfig = Omit<GrpoConfig, 'kind' | 'name' | 'advantage' | 'keepThoughts'>;

export interface UpdateContext {
  readonly model: TrainableModel;
  readonly reference: ScoringModel | undefined;
  readonly config: UpdateConfig;
  /** The loss of a critic on the same body; `first`: the weights are still those of the rollout. */
  readonly valueLoss?: (
    terms: readonly PolicyTerm[],
    first: boolean,
    request: StepRequest,
    watch: Stopwatch,
  ) => Promise<{ readonly gradient: Float32Array[]; readonly metrics: Readonly<Record<string, number>> }>;
}

type Advantage = PolicyTerm['advantage'];

export interface UpdateOutcome {
  readonly metrics: Readonly<Record<string, number>>;
  readonly updates: number;
  readonly skipped: number;
  /** Sequences in the loss; 0 when no group had a signal. */
  readonly sequences: number;
}

export async function updatePolicy(
  context: UpdateContext,
  groups: readonly TrainGroup<Advantage>[],
  request: StepRequest,
  watch: Stopwatch,
): Promise<UpdateOutcome> {
  const { config } = context;
  const parts: PolicyTerm[][] = [];
  for (const part of miniBatches(groups, config)) {
    const keepAll = config.kl?.place === 'loss' || config.entropyCoefficient > 0;
    parts.push(await termsOf(context, policyBatch(part, { ...config, keepAll }), request, watch));
  }
  const outcome = { metrics: {}, updates: 0, skipped: 0, sequences: parts.flat().length };
  for (let pass = 0; pass < config.updates; pass++) {
    for (const terms of parts) {
      if (terms.length === 0) continue;
      const applied = await updateOnce(context, terms, outcome.updates, request, watch);
      outcome.updates += applied.skipped ? 0 : 1;
      outcome.skipped += applied.skipped ? 1 : 0;
      Object.assign(outcome.metrics, applied.metrics);
    }
  }
  return outcome;
}

async function updateOnce(
  context: UpdateContext,
  terms: readonly PolicyTerm[],
  done: number,
  request: StepRequest,
  watch: Stopwatch,
): Promise<{ skipped: boolean; metrics: Record<string, number> }> {
  const { model, config } = context;
  const { temperature, entropyCoefficient } = config;
  const logprobs =
    done === 0
      ? terms.map(({ oldLogprob }) => oldLogprob)
      : await scores(model, terms, config, request, watch, 'score');
  const { sums, ...gradient } = policyGradient(terms, logprobs, config);
  const values = await context.valueLoss?.(terms, done === 0, request, watch);
  const loss = await model.accumulateGradients(
    {
      kind: 'policy_gradient',
      sequences: terms.map(({ tokens }) => tokens),
      ...{ ...gradient, entropyCoefficient, temperature, ...batchSettings(config) },
      dropoutSeed: stableKey(request.dropoutSeed, done),
      ...(values === undefined ? {} : { valueGradient: values.gradient }),
    },
    { signal: request.signal },
  );
  watch.countTokens(
    'update',
    terms.map(({ tokens }) => tokens),
  );
  watch.add('forward', loss.forwardSeconds);
  watch.add('head', loss.headSeconds);
  watch.add('backward', loss.backwardSeconds);
  const applied = await watch.time('update', () =>
    model.applyGradients({
      ...optimizerSettings(config),
      learningRate: request.learningRate,
      step: request.optimizerStep + done + 1,
    }),
  );
  return {
    skipped: applied.skipped,
    metrics: { ...updateMetrics({ config, terms, sums, loss, applied, first: done === 0 }), ...values?.metrics },
  };
}

/** Adds what the loss is measured against: old, reference and, for replayed completions, how far the policy has gone since. */
async function termsOf(
  { model, reference, config }: UpdateContext,
  batch: readonly PolicySequence<Advantage>[],
  request: StepRequest,
  watch: Stopwatch,
): Promise<PolicyTerm[]> {
  const stale = batch.filter(({ age }) => age > 0);
  const rescored = await scores(model, stale, config, request, watch, 'score');
  const current = new Map(stale.map((sequence, index) => [sequence, rescored[index] as Float32Array]));
  const compared = reference !== undefined && config.kl?.place === 'loss';
  const references = compared ? await scores(reference, batch, config, request, watch, 'reference') : [];
  const truncation = config.replay?.truncation ?? 1;
  return batch.map((sequence, index) => {
    const oldLogprob = current.get(sequence);
    const common = { ...sequence, referenceLogprob: references[index] };
    if (oldLogprob === undefined) return { ...common, oldLogprob: sequence.sampledLogprob };
    const importance = truncatedImportance(oldLogprob, sequence.sampledLogprob, truncation);
    return { ...common, oldLogprob, importance };
  });
}

/** Log-probabilities of the completions under `model`, at the temperature of the sampling. */
export async function scores(
  model: Pick<ScoringModel, 'score'>,
  sequences: readonly SequencePlace[],
  { temperature, maxBatchTokens }: Pick<GrpoConfig, 'temperature' | 'maxBatchTokens'>,
  { signal }: Pick<StepRequest, 'signal'>,
  watch: Stopwatch,
  phase: string,
): Promise<Float32Array[]> {
  if (sequences.length === 0) return [];
  const request = { sequences: sequences.map(({ tokens }) => tokens), temperature, maxBatchTokens };
  const all = await watch.time(phase, () => model.score(request, { signal }));
  watch.countTokens(phase, request.sequences);
  return all.map((row, index) => row.subarray((sequences[index] as SequencePlace).start));
}

/** Groups of this step and replayed ones, each spread evenly over the mini-batches. */
export function miniBatches<Group extends Pick<TrainGroup, 'age'>>(
  groups: readonly Group[],
  { prompts, miniBatch = prompts }: Pick<GrpoConfig, 'prompts' | 'miniBatch'>,
): Group[][] {
  const count = prompts / miniBatch;
  const share = (list: readonly Group[], index: number) =>
    list.slice(Math.floor((index * list.length) / count), Math.floor(((index + 1) * list.length) / count));
  const fresh = groups.filter(({ age }) => age === 0);
  const stale = groups.filter(({ age }) => age > 0);
  return Array.from({ length: count }, (_, index) => [...share(fresh, index), ...share(stale, index)]);
}
