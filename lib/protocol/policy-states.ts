/** The questions that a policy comes to when it ranks by itself: an alternative to random subsets for training. */
import { stableKey } from '../random.js';
import type { Prompt, Protocol, RankingInstance } from '../types.js';
import type { Generate } from './driver.js';
import { gradesById } from './shown.js';

export interface PolicyStateRequest {
  readonly instance: RankingInstance;
  /** Identity for the random numbers. */
  readonly key: number;
  /** How far to go: until a question shows no more candidates than this, or that many steps short of all candidates. */
  readonly size: number;
}

interface Walk<State> {
  readonly request: PolicyStateRequest;
  state: State;
  prompts: readonly Prompt[];
  steps: number;
  ended: boolean;
}

/** Whether an answer can be wrong: some candidate shown is more relevant than another. */
function hasSignal({ instance }: PolicyStateRequest, prompt: Prompt): boolean {
  const gradeOf = gradesById(instance);
  return new Set([...prompt.labels.values()].map((id) => gradeOf.get(id) ?? 0)).size > 1;
}

function wantsMore<State>(walk: Walk<State>): boolean {
  const { instance, size } = walk.request;
  const total = instance.candidates.length;
  const shown = Math.max(...walk.prompts.map(({ labels }) => labels.size));
  return !walk.ended && walk.steps < total - size && (shown > size || shown === total);
}

/**
 * One question for each request: the protocol is run with the policy's own answers, malformed ones included, as far as the request
 * says, but never to where the relevant candidates are gone and every answer would be right.
 */
export async function reachPrompts<State>(
  protocol: Protocol<State>,
  requests: readonly PolicyStateRequest[],
  generate: Generate,
): Promise<Prompt[]> {
  const walks = requests.map((request): Walk<State> => {
    const state = protocol.start(request.instance);
    return { request, state, prompts: protocol.prompts(state), steps: 0, ended: false };
  });
  for (let round = 0; ; round++) {
    const moving = walks.filter(wantsMore);
    if (moving.length === 0) break;
    const asked = moving.flatMap((walk) => walk.prompts.map((prompt, index) => ({ walk, prompt, index })));
    const promptKeys = asked.map(({ walk, index }) => stableKey('policy-state', walk.request.key, walk.steps, index));
    const completions = await generate(
      asked.map(({ prompt }) => prompt),
      { promptKeys, round },
    );
    const answers = asked.map(({ prompt }, index) => protocol.parse(prompt, completions[index] as never));
    for (const walk of moving) {
      const own = answers.filter((_, index) => asked[index]?.walk === walk);
      step(protocol, walk, own);
    }
  }
  return walks.map(choosePrompt);
}

function step<State>(
  protocol: Protocol<State>,
  walk: Walk<State>,
  answers: Parameters<typeof protocol.advance>[1],
): void {
  const state = protocol.advance(walk.state, answers);
  const prompts = protocol.prompts(state);
  if (protocol.done(state) || !prompts.some((prompt) => hasSignal(walk.request, prompt))) {
    walk.ended = true;
    return;
  }
  walk.state = state;
  walk.prompts = prompts;
  walk.steps++;
}

function choosePrompt<State>({ request, prompts }: Walk<State>): Prompt {
  const open = prompts.filter((prompt) => hasSignal(request, prompt));
  const from = open.length > 0 ? open : prompts;
  return from[stableKey('policy-state-choice', request.key) % from.length] as Prompt;
}
