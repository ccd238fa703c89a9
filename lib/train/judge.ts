/** Completions to answers and rewards. A malformed completion is data; a reward that throws is a defect and stops the run. */
import { WinnowError } from '../errors.js';
import type { Answer, Completion, Reward } from '../types.js';
import type { AnyProtocol, PromptCase } from './cases.js';

export interface Judged {
  readonly answer: Answer;
  readonly reward: Reward;
}

/** In group-major order: the completions of case 0, then those of case 1, ... Throws ERR_REWARD, naming the instance. */
export async function judge(
  protocol: AnyProtocol,
  cases: readonly PromptCase[],
  completions: readonly (readonly Completion[])[],
): Promise<Judged[]> {
  const judged: Judged[] = [];
  for (const [index, promptCase] of cases.entries()) {
    for (const completion of completions[index] ?? []) {
      judged.push(await judgeOne(protocol, promptCase, completion));
    }
  }
  return judged;
}

async function judgeOne(
  protocol: AnyProtocol,
  { instance, prompt }: PromptCase,
  completion: Completion,
): Promise<Judged> {
  let judged: Judged;
  try {
    const answer = protocol.parse(prompt, completion);
    // A protocol of the user's own may answer with a promise.
    judged = { answer, reward: await protocol.reward(instance, prompt, answer) };
  } catch (cause) {
    throw new WinnowError('ERR_REWARD', `the reward of instance ${instance.id} failed`, {
      received: cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause),
      hint: 'the run stops here, because a defect must not look like a reward of zero',
      cause,
    });
  }
  if (!Number.isFinite(judged.reward.value)) {
    throw new WinnowError('ERR_REWARD', `the reward of instance ${instance.id} is not a number`, {
      expected: 'a finite number',
      received: String(judged.reward.value),
    });
  }
  return judged;
}
