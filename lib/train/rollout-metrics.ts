/** The figures of a GRPO step, under TRL's names where it has one, and the completions that a report shows. Pure. */
import type { LossResult, UpdateResult } from '../native/index.js';
import type { Completion } from '../types.js';
import type { GroupAdvantages } from './advantage.js';
import type { PromptCase } from './cases.js';
import type { SampleCompletion, SampleRecord } from './events.js';
import type { Judged } from './judge.js';

/** One step's completions; `judged` and the advantages are group-major. */
export interface Rollout {
  readonly cases: readonly PromptCase[];
  readonly completions: readonly (readonly Completion[])[];
  readonly judged: readonly Judged[];
  readonly advantages: GroupAdvantages;
  readonly groupSize: number;
}

export function rolloutMetrics({ cases, completions, judged, advantages, groupSize }: Rollout): Record<string, number> {
  const all = completions.flat();
  const lengths = all.map(({ tokens }) => tokens.length);
  const rewards = judged.map(({ reward }) => reward.value);
  const deviations = cases.map((_, group) => deviation(rewards.slice(group * groupSize, (group + 1) * groupSize)));
  const metrics: Record<string, number> = {
    reward: mean(rewards),
    reward_std: mean(deviations),
    frac_reward_zero_std: advantages.zeroVarianceGroups / cases.length,
    'completions/mean_length': mean(lengths),
    'completions/min_length': Math.min(...lengths),
    'completions/max_length': Math.max(...lengths),
    'completions/clipped_ratio': mean(all.map(({ stop }) => (stop === 'length' || stop === 'context' ? 1 : 0))),
    malformed_rate: mean(judged.map(({ answer }) => (answer.ok ? 0 : 1))),
  };
  for (const { answer } of judged) {
    if (answer.ok) continue;
    const name = `malformed/${answer.reason}`;
    metrics[name] = (metrics[name] ?? 0) + 1 / judged.length;
  }
  for (const part of Object.keys(judged[0]?.reward.parts ?? {})) {
    metrics[`rewards/${part}/mean`] = mean(judged.map(({ reward }) => reward.parts[part] ?? 0));
  }
  return metrics;
}

/** Means per trained token. How far sampler and trainer disagree is a question for the first update alone. */
export function updateMetrics(
  loss: LossResult,
  applied: UpdateResult,
  totalWeight: number,
  { first, reference }: { readonly first: boolean; readonly reference: boolean },
): Record<string, number> {
  return {
    loss: loss.loss,
    policy_loss: loss.policyLoss,
    entropy: loss.entropy / totalWeight,
    grad_norm: applied.gradientNorm,
    'clip_ratio/region_mean': loss.entries === 0 ? 0 : loss.clipped / loss.entries,
    ...(reference ? { kl: loss.kl / totalWeight } : {}),
    ...(first
      ? {
          cached_token_fraction: loss.forestTokens === 0 ? 0 : loss.cachedTokens / loss.forestTokens,
          'sampling/sampling_logp_difference/mean': loss.absoluteLogRatio / totalWeight,
          'sampling/sampling_logp_difference/max': loss.maxAbsoluteLogRatio,
        }
      : {}),
  };
}

/** Up to `count` groups, those with signal first. */
export function rolloutSamples(rollout: Rollout, count: number): Omit<SampleRecord, 'step' | 'stage'>[] {
  const { cases, advantages } = rollout;
  const groups = cases.map((_, group) => group);
  groups.sort((a, b) => (advantages.informative[b] as number) - (advantages.informative[a] as number));
  return groups.slice(0, count).map((group) => sampleOf(rollout, group));
}

function sampleOf({ cases, completions, judged, advantages, groupSize }: Rollout, group: number) {
  const { instance, prompt } = cases[group] as PromptCase;
  const shown = (completions[group] ?? []).map((completion, index): SampleCompletion => {
    const { answer, reward } = judged[group * groupSize + index] as Judged;
    return {
      text: completion.text,
      tokens: completion.tokens.length,
      stop: completion.stop,
      outcome: answer.ok ? 'ok' : answer.reason,
      reward: reward.value,
      parts: reward.parts,
      advantage: advantages.values[group * groupSize + index] as number,
    };
  });
  const messages = prompt.messages.map(({ role, content }) => `${role}:\n${content}`);
  return { instance: instance.id, prompt: [...messages, prompt.prefix].join('\n\n'), completions: shown };
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Unbiased; 0 for fewer than two values. */
function deviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}
