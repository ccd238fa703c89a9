/** What a KL term in the reward takes, by the reference policy's log-probabilities of what was sampled. */
import type { GrpoConfig } from './config.js';
import { scores } from './policy-update.js';
import type { RolloutGroup } from './rollout.js';
import { completionSequences } from './rollout-sequences.js';
import type { ScoringModel, StepRequest, Stopwatch } from './stage.js';

type KlSettings = NonNullable<GrpoConfig['kl']>;

/**
 * One a completion, group-major; empty unless the term's place is the reward.
 *
 * @param penalty of a completion, from its tokens' log-probabilities under the policy that sampled it and under the reference
 */
export async function rewardPenalties<Penalty>(
  {
    config,
    reference,
  }: {
    readonly config: Pick<GrpoConfig, 'kl' | 'temperature' | 'maxBatchTokens'>;
    readonly reference: ScoringModel | undefined;
  },
  groups: readonly RolloutGroup[],
  penalty: (sampled: Float32Array, reference: Float32Array, kl: KlSettings) => Penalty,
  request: StepRequest,
  watch: Stopwatch,
): Promise<Penalty[]> {
  const { kl } = config;
  if (kl?.place !== 'reward' || reference === undefined) return [];
  const sequences = completionSequences(groups);
  const rows = await scores(reference, sequences, config, request, watch, 'reference');
  return sequences.map(({ logprobs }, index) => penalty(logprobs, rows[index] as Float32Array, kl));
}
