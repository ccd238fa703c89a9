/**
 * Proximal policy optimisation with a learned critic (Schulman et al. 2017, arXiv 1707.06347, Algorithm 1), on one page, as R1-Ranker
 * trains:
 *
 *   cases -> prompts -> completions -> answers -> rewards of tokens -> values -> advantages of tokens -> update of critic and policy
 *
 * The reward of a completion stands on its last token, the stop token where one was sampled; behind it every value is 0. A completion
 * cut off at maxTokens ends there too: nothing is bootstrapped, because its reward was given for ending there.
 */
import * as z from 'zod';
import { WinnowError } from '../errors.js';
import { generalisedAdvantage, whitened } from './advantage.js';
import type { PpoConfig } from './config.js';
import { completionValues, updateCritic, valueLoss, valueTerms } from './critic.js';
import { criticMetrics } from './critic-metrics.js';
import { keptThoughts } from './kept-thoughts.js';
import type { TrainGroup } from './policy-batch.js';
import { type UpdateContext, updatePolicy } from './policy-update.js';
import { rewardPenalties } from './reward-penalties.js';
import { tokenPenalties, tokenRewards } from './reward-shaping.js';
import { isTruncated, type RolloutContext, type RolloutGroup, rolloutContext, sampleStep } from './rollout.js';
import { rolloutMetrics, rolloutSamples } from './rollout-metrics.js';
import { completionSequences, countTokens } from './rollout-sequences.js';
import {
  type ScoringModel,
  type Stage,
  type StageContext,
  type StepOutcome,
  type StepRequest,
  Stopwatch,
  type TrainableModel,
} from './stage.js';

/** `critic` is the policy itself where they share a body; else the stage disposes of it, as of `reference`. */
export interface PpoParts {
  readonly critic: TrainableModel;
  readonly reference: ScoringModel | undefined;
  /** What the stage kept in a checkpoint. */
  readonly state?: unknown;
  /** Writes the critic into a checkpoint. */
  save(folder: string): Promise<void>;
}

interface PpoContext extends RolloutContext {
  readonly config: PpoConfig;
  readonly critic: TrainableModel;
  readonly reference: ScoringModel | undefined;
}

const kState = z.strictObject({ version: z.literal(1), criticUpdates: z.number().int().nonnegative() });

export function ppoStage(context: StageContext, config: PpoConfig, parts: PpoParts): Stage {
  const { critic, reference } = parts;
  const own = { ...rolloutContext(context, config), config, critic, reference };
  let { criticUpdates } = restored(parts.state);
  return {
    casesPerStep: config.prompts,
    async step(request) {
      const { outcome, updated } = await ppoStep(own, criticUpdates, request);
      criticUpdates += updated;
      return outcome;
    },
    state: () => ({ version: 1, criticUpdates }),
    save: (folder) => parts.save(folder),
    async dispose() {
      await reference?.dispose();
      if (critic !== context.model) await critic.dispose();
    },
  };
}

async function ppoStep(
  context: PpoContext,
  criticUpdates: number,
  request: StepRequest,
): Promise<{ outcome: StepOutcome; updated: number }> {
  const { config, critic } = context;
  const watch = new Stopwatch();

  const sampled = await sampleStep(context, request, watch);
  const values = await completionValues(critic, completionSequences(sampled.groups), config, request, watch);
  const penalties = await rewardPenalties(context, sampled.groups, tokenPenalties, request, watch);
  const { groups, figures } = estimate(config, sampled.groups, values, penalties);
  const warming = request.stageStep < config.critic.warmupSteps;
  const trained =
    critic === context.model ? undefined : await updateCritic(critic, config, groups, criticUpdates, request, watch);
  const update = warming ? undefined : await updatePolicy(updateContext(context), groups, request, watch);

  const sums = penalties.map((own) => own.reduce((sum, value) => sum + value, 0));
  const outcome = {
    metrics: {
      ...ungrouped(rolloutMetrics(sampled, { penalties: sums, replayed: 0, config })),
      ...criticMetrics(figures),
      ...update?.metrics,
      ...trained?.metrics,
    },
    samples: rolloutSamples(sampled.groups, asAdvantages(figures.advantages, groups.length), request.samples),
    thoughts: keptThoughts(
      config,
      sampled.all.map(({ promptCase }) => promptCase),
      sampled.all.flatMap(({ judged }) => judged),
    ),
    seconds: watch.stop(),
    phaseTokens: watch.phaseTokens,
    tokens: countTokens(sampled.all),
    updates: update?.updates ?? 0,
    skipped: (update?.skipped ?? 0) + (trained?.skipped ?? 0),
    withoutSignal: update?.sequences === 0,
  };
  return { outcome, updated: trained?.updates ?? 0 };
}

/** Advantages and returns of every token, by the values of the rollout. */
function estimate(
  config: PpoConfig,
  sampled: readonly RolloutGroup[],
  values: readonly Float32Array[],
  penalties: readonly Float64Array[],
) {
  const completions = sampled.flatMap((group) =>
    group.completions.map((completion, index) => ({ completion, reward: group.rewards[index] as number })),
  );
  const active = completions.map(({ completion }) => !(config.maskTruncated && isTruncated(completion)));
  const estimates = completions.map(({ completion, reward }, index) =>
    generalisedAdvantage(
      tokenRewards(reward, completion.tokens.length, penalties[index]),
      values[index] as Float32Array,
      config,
    ),
  );
  const raw = estimates.map((one) => one.values);
  const advantages = config.whiten ? whitened(raw, active) : raw;
  const returns = estimates.map((one) => one.returns);
  let index = 0;
  const groups = sampled.map(
    (group): TrainGroup<Float64Array> => ({
      prompt: group.prompt,
      completions: group.completions.map((completion) => {
        const at = index++;
        return {
          ...{ tokens: completion.tokens, logprobs: completion.logprobs, truncated: isTruncated(completion) },
          advantage: advantages[at] as Float64Array,
          target: { old: values[at] as Float32Array, returns: returns[at] as Float64Array },
        };
      }),
      informative: true,
      age: 0,
    }),
  );
  return { groups, figures: { values, returns, advantages, active } };
}

/** PPO's surrogate; where policy and critic share a body, with the critic's loss beside it. */
function updateContext({ model, critic, reference, config }: PpoContext): UpdateContext {
  const context = { model, reference, config: { ...config, loss: 'clip' as const } };
  if (critic !== model) return context;
  return {
    ...context,
    valueLoss: (terms, first, request, watch) => valueLoss(critic, config, valueTerms(terms), first, request, watch),
  };
}

/** Without what tells of baselines of groups, which have no part here. */
function ungrouped(metrics: Record<string, number>): Record<string, number> {
  const { reward_std: _, frac_reward_zero_std: __, ...rest } = metrics;
  return rest;
}

/** For the report: the mean over a completion's tokens. */
function asAdvantages(advantages: readonly Float64Array[], groups: number) {
  const values = Float64Array.from(advantages, (own) => own.reduce((sum, value) => sum + value, 0) / own.length);
  return { values, informative: new Uint8Array(groups).fill(1) };
}

function restored(state: unknown): z.output<typeof kState> {
  if (state === undefined) return { version: 1, criticUpdates: 0 };
  const parsed = kState.safeParse(state);
  if (parsed.success) return parsed.data;
  throw new WinnowError('ERR_CHECKPOINT', "the critic's state in the checkpoint cannot be read", {
    received: parsed.error.issues[0]?.message ?? '',
    hint: 'start a new run from this checkpoint as a model folder',
  });
}
