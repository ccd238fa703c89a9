/**
 * Rejection-sampling fine-tuning: of each group of completions the one with the highest reward is imitated (RAFT, Dong et al. 2023,
 * arXiv 2304.06767, Algorithm 1; the same as expert iteration with a batch per step). The loss is that of sft.ts.
 */
import type { BestOfNConfig } from './config.js';
import { type RolloutGroup, rolloutContext, sampleStep } from './rollout.js';
import { rolloutMetrics, rolloutSamples } from './rollout-metrics.js';
import { countTokens } from './rollout-sequences.js';
import { imitate, type SftExample } from './sft.js';
import { type Stage, type StageContext, Stopwatch } from './stage.js';

export function bestOfNStage(context: StageContext, config: BestOfNConfig): Stage {
  const own = rolloutContext(context, config);
  return {
    casesPerStep: config.prompts,
    dispose: async () => {},
    async step(request) {
      const watch = new Stopwatch();
      const sampled = await sampleStep(own, request, watch);
      const { groups } = sampled;
      const best = groups.map(({ rewards }) => bestOf(rewards));
      const kept = groups.flatMap((group, index): SftExample[] =>
        (group.rewards[best[index] as number] as number) >= (config.minimumReward ?? Number.NEGATIVE_INFINITY)
          ? [{ prompt: group.prompt, completion: completionOf(group, best[index] as number) }]
          : [],
      );
      const update = kept.length === 0 ? undefined : await imitate(context.model, config, kept, request, watch);
      return {
        metrics: {
          ...rolloutMetrics(sampled, { penalties: [], replayed: 0, config }),
          'best_of_n/reward': groups.reduce(
            (sum, { rewards }, index) => sum + (rewards[best[index] as number] as number) / groups.length,
            0,
          ),
          'best_of_n/kept_fraction': kept.length / groups.length,
          ...update?.metrics,
        },
        samples: rolloutSamples(groups, asAdvantages(groups, best), request.samples),
        seconds: watch.stop(),
        phaseTokens: watch.phaseTokens,
        tokens: countTokens(sampled.all),
        updates: update === undefined || update.skipped ? 0 : 1,
        skipped: update?.skipped ? 1 : 0,
        withoutSignal: kept.length === 0,
      };
    },
  };
}

/** The first of the largest. */
export function bestOf(rewards: readonly number[]): number {
  return rewards.reduce((best, reward, index) => (reward > (rewards[best] as number) ? index : best), 0);
}

function completionOf({ completions }: RolloutGroup, index: number): Int32Array {
  return (completions[index] as RolloutGroup['completions'][number]).tokens;
}

/** For the report: 1 for the completion that is imitated, 0 for the others. */
function asAdvantages(groups: readonly RolloutGroup[], best: readonly number[]) {
  const values = Float64Array.from(
    groups.flatMap(({ rewards }, group) => rewards.map((_, index) => (index === best[group] ? 1 : 0))),
  );
  return { values, informative: new Uint8Array(groups.length).fill(1) };
}
