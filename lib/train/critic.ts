/**
 * The critic of PPO: values of the states that the policy came to, and optimizer steps on them. The value of a completion token is
 * V of all that stands before it, read at the row that predicts it. A critic has a body of its own, or is a head on the policy's.
 */
import { WinnowError } from '../errors.js';
import type { PpoConfig } from './config.js';
import { type PolicySequence, policyBatch, type SequencePlace, type TrainGroup } from './policy-batch.js';
import { miniBatches } from './policy-update.js';
import { batchSettings, optimizerSettings } from './sft.js';
import type { StepRequest, Stopwatch, TrainableModel } from './stage.js';
import { type ValueTerm, valueGradient } from './value-loss.js';

export interface CriticOutcome {
  readonly metrics: Readonly<Record<string, number>>;
  readonly updates: number;
  readonly skipped: number;
}

/** Values of the completion tokens, one array a sequence. */
export async function completionValues(
  critic: TrainableModel,
  sequences: readonly SequencePlace[],
  { maxBatchTokens }: Pick<PpoConfig, 'maxBatchTokens'>,
  { signal }: Pick<StepRequest, 'signal'>,
  watch: Stopwatch,
): Promise<Float32Array[]> {
  if (sequences.length === 0) return [];
  const request = { sequences: sequences.map(({ tokens }) => tokens), maxBatchTokens };
  const all = await watch.time('values', () => critic.values(request, { signal }));
  watch.countTokens('values', request.sequences);
  return all.map((row, index) => row.subarray((sequences[index] as SequencePlace).start));
}

/** The critic's loss on `terms`, as derivatives for the engine. At the `first` update its values are still those of the rollout. */
export async function valueLoss(
  critic: TrainableModel,
  config: PpoConfig,
  terms: readonly ValueTerm[],
  first: boolean,
  request: StepRequest,
  watch: Stopwatch,
) {
  const values = first
    ? terms.map(({ target }) => target.old)
    : await completionValues(critic, terms, config, request, watch);
  const { clip, body, coefficient } = config.critic;
  const { gradient, sums } = valueGradient(terms, values, {
    clip,
    coefficient: body === 'shared' ? (coefficient ?? kSharedCoefficient) : 1,
  });
  const metrics = {
    'critic/vf_loss': sums.loss,
    'critic/vf_clipfrac': sums.clipped / sums.tokens,
    'critic/vpred_mean': sums.predicted / sums.tokens,
  };
  return { gradient, metrics };
}

/** TRL's `vf_coef`. */
const kSharedCoefficient = 0.1;

/** Optimizer steps of a critic with a body of its own: the passes and mini-batches of the policy. */
export async function updateCritic(
  critic: TrainableModel,
  config: PpoConfig,
  groups: readonly TrainGroup<unknown>[],
  madeBefore: number,
  request: StepRequest,
  watch: Stopwatch,
): Promise<CriticOutcome> {
  const parts = miniBatches(groups, config).map((part) => valueTerms(policyBatch(part, { ...config, keepAll: true })));
  const outcome = { metrics: {}, updates: 0, skipped: 0 };
  const rate = criticRate(config, request.learningRate);
  for (let pass = 0; pass < config.updates; pass++) {
    for (const terms of parts) {
      if (terms.length === 0) continue;
      const { gradient, metrics } = await valueLoss(critic, config, terms, outcome.updates === 0, request, watch);
      const sequences = terms.map(({ tokens }) => tokens);
      watch.countTokens('update_critic', sequences);
      const applied = await watch.time('update_critic', async () => {
        await critic.accumulateGradients(
          { kind: 'value', sequences, valueGradient: gradient, ...batchSettings(config) },
          { signal: request.signal },
        );
        const step = madeBefore + outcome.updates + 1;
        return critic.applyGradients({ ...optimizerSettings(config), learningRate: rate, step });
      });
      outcome.updates += applied.skipped ? 0 : 1;
      outcome.skipped += applied.skipped ? 1 : 0;
      Object.assign(outcome.metrics, metrics, { 'critic/grad_norm': applied.gradientNorm, 'critic/lr': rate });
    }
  }
  return outcome;
}

/** The stage's schedule, at the critic's own height. */
export function criticRate({ critic, learningRate }: PpoConfig, scheduled: number): number {
  return ((critic.learningRate ?? learningRate) / learningRate) * scheduled;
}

/** Of sequences that all have something to train a value towards. */
export function valueTerms(sequences: readonly PolicySequence<unknown>[]): ValueTerm[] {
  return sequences.map(({ tokens, start, weight, target }) => {
    if (target === undefined) throw new WinnowError('ERR_INTERNAL', 'a sequence has no returns for the critic');
    return { tokens, start, weight, target };
  });
}
