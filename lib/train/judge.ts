/** Completions to answers and rewards. A malformed completion is data; a reward that throws is a defect and stops the run. */
import { guarded } from '../protocol/index.js';
import type { Answer, Completion, Reward } from '../types.js';
import type { AnyProtocol, PromptCase } from './cases.js';
import { type RewardFunction, type RewardOptions, rewardAll } from './reward-function.js';

export interface Judged {
  readonly answer: Answer;
  readonly reward: Reward;
}

/**
 * In group-major order: the completions of case 0, then those of case 1, ... Throws ERR_REWARD or ERR_PROTOCOL_STEP, naming the
 * instance.
 */
export async function judge(
  protocol: AnyProtocol,
  cases: readonly PromptCase[],
  completions: readonly (readonly Completion[])[],
  { reward = rewardOf(protocol), ...limits }: RewardOptions & { readonly signal: AbortSignal },
): Promise<Judged[]> {
  const entries = cases.flatMap(({ instance, prompt }, index) =>
    (completions[index] ?? []).map((completion) => {
      const answer = guarded(protocol, 'parse', instance, () => protocol.parse(prompt, completion));
      return { instance, prompt, completion, answer };
    }),
  );
  const rewards = await rewardAll(reward, entries, limits);
  return entries.map(({ answer }, index) => ({ answer, reward: rewards[index] as Reward }));
}

/** A protocol of the user's own may answer with a promise. */
function rewardOf(protocol: AnyProtocol): RewardFunction {
  return (batch) => batch.map(async ({ instance, prompt, answer }) => protocol.reward(instance, prompt, answer));
}
