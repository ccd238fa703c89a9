/** The figures of a step, under TRL's names where it has one, and the completions that a report shows. Pure. */
import type { LossResult, UpdateResult } from '../native/index.js';
import type { GroupAdvantages } from './advantage.js';
import type { GrpoConfig } from './config.js';
import type { SampleCompletion, SampleRecord } from './events.js';
import type { Judged } from './judge.js';
import type { PolicySums, PolicyTerm } from './policy-gradient.js';
import { hasSignal, isTruncated, type RolloutConfig, type RolloutGroup, type Sampled } from './rollout.js';
import { gradientMetrics } from './sft.js';

export interface RolloutExtras {
  /** What the KL term took from each reward of the groups trained on; empty unless its place is the reward. */
  readonly penalties: readonly number[];
  readonly replayed: number;
  readonly config: RolloutConfig & Partial<Pick<GrpoConfig, 'kl' | 'replay'>>;
}

/** Of everything that was sampled, also what dynamic sampling did not train on: else a filter would look like progress. */
export function rolloutMetrics(
  { all, groups, rounds }: Sampled,
  { penalties, replayed, config }: RolloutExtras,
): Record<string, number> {
  const completions = all.flatMap((group) => group.completions);
  const judged = all.flatMap((group) => group.judged);
  const lengths = completions.map(({ tokens }) => tokens.length);
  const metrics: Record<string, number> = {
    reward: mean(judged.map(({ reward }) => reward.value)),
    reward_std: mean(all.map(({ rewards }) => deviation(rewards))),
    frac_reward_zero_std: mean(all.map((group) => (hasSignal(group) ? 0 : 1))),
    'completions/mean_length': mean(lengths),
    'completions/min_length': Math.min(...lengths),
    'completions/max_length': Math.max(...lengths),
    'completions/clipped_ratio': mean(completions.map((completion) => (isTruncated(completion) ? 1 : 0))),
    malformed_rate: mean(judged.map(({ answer }) => (answer.ok ? 0 : 1))),
    ...tasksMetrics(all),
  };
  if (config.overlong !== undefined) metrics['rewards/overlong/mean'] = overlongMean(all);
  if (config.dynamicSampling !== undefined) {
    metrics['dynamic_sampling/rounds'] = rounds;
    metrics['dynamic_sampling/groups'] = all.length;
    metrics['dynamic_sampling/filled'] = mean(groups.map((group) => (hasSignal(group) ? 1 : 0)));
  }
  if (config.replay !== undefined) metrics['replay/groups'] = replayed;
  if (penalties.length > 0) {
    const tokens = groups.flatMap((group) => group.completions).reduce((sum, own) => sum + own.tokens.length, 0);
    metrics['rewards/kl/mean'] = mean(penalties);
    metrics.kl = -penalties.reduce((sum, value) => sum + value, 0) / ((config.kl?.coefficient ?? 1) * tokens);
  }
  for (const { answer } of judged) {
    if (answer.ok) continue;
    const name = `malformed/${answer.reason}`;
    metrics[name] = (metrics[name] ?? 0) + 1 / judged.length;
  }
  for (const part of new Set(judged.flatMap(({ reward }) => Object.keys(reward.parts)))) {
    metrics[`rewards/${part}/mean`] = mean(judged.map(({ reward }) => reward.parts[part] ?? 0));
  }
  return metrics;
}

export interface UpdateFigures {
  readonly config: Pick<GrpoConfig, 'kl' | 'replay' | 'entropyCoefficient'>;
  readonly terms: readonly PolicyTerm[];
  readonly sums: PolicySums;
  readonly loss: LossResult;
  readonly applied: UpdateResult;
  /** The policy is still the one that sampled. */
  readonly first: boolean;
}

/** Means per trained token. How far sampler and trainer disagree is a question for the first update alone. */
export function updateMetrics(figures: UpdateFigures): Record<string, number> {
  const { config, sums, loss, applied, first } = figures;
  const { kl, entropyCoefficient } = config;
  const inLoss = kl?.place === 'loss';
  return {
    loss: sums.policyLoss + (inLoss ? kl.coefficient * sums.kl : 0) - entropyCoefficient * loss.entropy,
    policy_loss: sums.policyLoss,
    entropy: loss.entropy / sums.weight,
    ...gradientMetrics(applied),
    'clip_ratio/low_mean': sums.clippedLow / sums.tokens,
    'clip_ratio/high_mean': sums.clippedHigh / sums.tokens,
    'clip_ratio/region_mean': (sums.clippedLow + sums.clippedHigh) / sums.tokens,
    ...(inLoss ? { kl: sums.kl / sums.weight } : {}),
    ...(config.replay === undefined ? {} : importanceMetrics(figures)),
    ...(first
      ? {
          cached_token_fraction: loss.forestTokens === 0 ? 0 : loss.cachedTokens / loss.forestTokens,
          ...samplingDifference(figures),
        }
      : {}),
  };
}

/** |trainer's log-probability - sampler's| of the tokens of this step; mult_prob_error is NeMo-RL's mean of its exponential. */
function samplingDifference({ terms, loss }: UpdateFigures): Record<string, number> {
  const fresh = terms.flatMap((term, index) => (term.age > 0 ? [] : [{ term, row: loss.logprobs[index] }]));
  let total = 0;
  let error = 0;
  let largest = 0;
  let weights = 0;
  for (const { term, row } of fresh) {
    for (const [token, sampled] of term.sampledLogprob.entries()) {
      const difference = Math.abs((row?.[term.start + token] as number) - sampled);
      total += term.weight * difference;
      error += term.weight * Math.exp(difference);
      weights += term.weight;
      // NaN must show, which Math.max would also give.
      largest = Math.max(largest, difference);
    }
  }
  if (weights === 0) return {};
  return {
    'sampling/sampling_logp_difference/mean': total / weights,
    'sampling/sampling_logp_difference/max': largest,
    'sampling/token_mult_prob_error': error / weights,
  };
}

function importanceMetrics({ terms, config }: UpdateFigures): Record<string, number> {
  const ratios = terms.flatMap(({ importance }) => (importance === undefined ? [] : Array.from(importance)));
  if (ratios.length === 0) return {};
  const { truncation } = config.replay as { truncation: number };
  return {
    'sampling/importance_sampling_ratio/min': ratios.reduce((least, ratio) => Math.min(least, ratio)),
    'sampling/importance_sampling_ratio/mean': mean(ratios),
    'sampling/importance_sampling_ratio/max': ratios.reduce((most, ratio) => Math.max(most, ratio)),
    'replay/truncated_fraction': mean(ratios.map((ratio) => (ratio >= truncation ? 1 : 0))),
  };
}

/** Up to `count` groups, those with signal first. */
export function rolloutSamples(
  groups: readonly RolloutGroup[],
  advantages: Pick<GroupAdvantages, 'values' | 'informative'>,
  count: number,
): Omit<SampleRecord, 'step' | 'stage'>[] {
  const order = groups.map((_, group) => group);
  order.sort((a, b) => (advantages.informative[b] as number) - (advantages.informative[a] as number));
  const starts = groups.map((_, group) => groups.slice(0, group).reduce((sum, { judged }) => sum + judged.length, 0));
  return order
    .slice(0, count)
    .map((group) => sampleOf(groups[group] as RolloutGroup, advantages.values.subarray(starts[group] as number)));
}

function sampleOf({ promptCase, completions, judged }: RolloutGroup, advantages: Float64Array) {
  const { instance, prompt } = promptCase;
  const shown = completions.map((completion, index): SampleCompletion => {
    const { answer, reward } = judged[index] as Judged;
    return {
      text: completion.text,
      tokens: completion.tokens.length,
      stop: completion.stop,
      outcome: answer.ok ? 'ok' : answer.reason,
      reward: reward.value,
      parts: reward.parts,
      advantage: advantages[index] as number,
    };
  });
  const messages = prompt.messages.map(({ role, content }) => `${role}:\n${content}`);
  return { instance: instance.id, prompt: [...messages, prompt.prefix].join('\n\n'), completions: shown };
}

/** The reward of each task, where there are several. */
function tasksMetrics(all: readonly RolloutGroup[]): Record<string, number> {
  const rewards = new Map<string, number[]>();
  for (const { promptCase, judged } of all) {
    const { task } = promptCase.instance;
    rewards.set(task, [...(rewards.get(task) ?? []), ...judged.map(({ reward }) => reward.value)]);
  }
  if (rewards.size < 2) return {};
  return Object.fromEntries([...rewards].sort().map(([task, values]) => [`tasks/${task}/reward`, mean(values)]));
}

function overlongMean(all: readonly RolloutGroup[]): number {
  return mean(
    all.flatMap(({ rewards, judged }) => rewards.map((reward, index) => reward - (judged[index]?.reward.value ?? 0))),
  );
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
