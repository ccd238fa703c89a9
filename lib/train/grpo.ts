/**
 * Policy-gradient training on groups of completions (GRPO, Shao et al. 2024, arXiv 2402.03300, and its kin), on one page:
 *
 *   cases -> prompts -> groups of completions -> answers -> rewards -> advantages -> groups with signal -> gradient -> update
 *
 * Which advantage, which loss and which normaliser are names in the settings (advantage.ts, policy-loss.ts, normaliser.ts); the
 * step knows none of them. The token ids that were sampled are the token ids that are trained on, the stop token included, and
 * the activations of the sampling are those of the gradient: the two passes agree bit for bit.
 */
import { type GroupAdvantages, kAdvantages } from './advantage.js';
import type { GrpoConfig } from './config.js';
import { keptThoughts } from './kept-thoughts.js';
import type { TrainGroup } from './policy-batch.js';
import { updatePolicy } from './policy-update.js';
import { ReplayBuffer } from './replay.js';
import { rewardPenalties } from './reward-penalties.js';
import { divergencePenalty } from './reward-shaping.js';
import { isTruncated, type RolloutContext, type RolloutGroup, rolloutContext, sampleStep } from './rollout.js';
import { rolloutMetrics, rolloutSamples } from './rollout-metrics.js';
import { countTokens } from './rollout-sequences.js';
import {
  type ScoringModel,
  type Stage,
  type StageContext,
  type StepOutcome,
  type StepRequest,
  Stopwatch,
} from './stage.js';

/** `reference` is the frozen policy of the KL term, if there is one; the stage disposes of it. `state` is that of a checkpoint. */
export function grpoStage(
  context: StageContext,
  config: GrpoConfig,
  reference: ScoringModel | undefined,
  state?: unknown,
): Stage {
  const replay = config.replay && new ReplayBuffer({ ...context, ...config.replay }, state);
  const own = { ...rolloutContext(context, config), config, reference, replay };
  return {
    casesPerStep: config.prompts,
    step: (request) => grpoStep(own, request),
    state: () => replay?.state(),
    dispose: async () => reference?.dispose(),
  };
}

interface GrpoContext extends RolloutContext {
  readonly config: GrpoConfig;
  readonly reference: ScoringModel | undefined;
  readonly replay: ReplayBuffer | undefined;
}

async function grpoStep(context: GrpoContext, request: StepRequest): Promise<StepOutcome> {
  const { config, replay } = context;
  const watch = new Stopwatch();

  const sampled = await sampleStep(context, request, watch);
  const { groups } = sampled;
  const penalties = await rewardPenalties(context, groups, divergencePenalty, request, watch);
  const rewards = groups.flatMap((group) => group.rewards).map((reward, index) => reward + (penalties[index] ?? 0));
  const advantages = kAdvantages[config.advantage](rewards, config.group);
  const fresh = trainGroups(groups, advantages);
  const replayed = replay?.draw(request.stageStep) ?? [];
  const update = await updatePolicy(context, [...fresh, ...replayed], request, watch);
  replay?.add(fresh, request.stageStep);

  return {
    metrics: { ...rolloutMetrics(sampled, { penalties, replayed: replayed.length, config }), ...update.metrics },
    samples: rolloutSamples(groups, advantages, request.samples),
    thoughts: keptThoughts(
      config,
      sampled.all.map(({ promptCase }) => promptCase),
      sampled.all.flatMap(({ judged }) => judged),
    ),
    seconds: watch.stop(),
    phaseTokens: watch.phaseTokens,
    tokens: countTokens(sampled.all),
    updates: update.updates,
    skipped: update.skipped,
    withoutSignal: update.sequences === 0,
  };
}

function trainGroups(groups: readonly RolloutGroup[], { values, informative }: GroupAdvantages): TrainGroup[] {
  let index = 0;
  return groups.map(({ prompt, completions }, group) => ({
    prompt,
    completions: completions.map((completion) => ({
      ...{ tokens: completion.tokens, logprobs: completion.logprobs, truncated: isTruncated(completion) },
      // Adding 0 makes -0 a 0, which is what it is after a checkpoint.
      advantage: (values[index++] as number) + 0,
    })),
    informative: informative[group] === 1,
    age: 0,
  }));
}
