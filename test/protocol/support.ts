/** Small instances, and rankers that answer every prompt of a protocol by a fixed order of the candidates' texts. */
import type { Generate } from '../../lib/protocol/driver.js';
import type { AnyProtocol } from '../../lib/protocol/index.js';
import type { Answer, Completion, Prompt, RankingInstance, Reward } from '../../lib/types.js';

export const says = (text: string, stop: Completion['stop'] = 'stop_token'): Completion => ({
  text,
  stop,
  tokens: new Int32Array(4),
  logprobs: new Float32Array(4),
});

/** Candidates c0, c1, ... with these grades; the context is two lines. */
export function graded(relevance: readonly number[], change: Partial<RankingInstance> = {}): RankingInstance {
  return {
    ...{ id: 'one', task: 'Rec-Movie', context: 'Alien\nBlade Runner', relevance },
    candidates: relevance.map((_, index) => ({ id: `c${index}`, text: `Movie ${index}` })),
    ...change,
  };
}

export const firstPrompt = (protocol: AnyProtocol, instance: RankingInstance): Prompt =>
  protocol.prompts(protocol.start(instance))[0] as Prompt;

/** Parse and reward of one completion to the first prompt. */
export function judge(
  protocol: AnyProtocol,
  instance: RankingInstance,
  text: string,
  stop: Completion['stop'] = 'stop_token',
): { answer: Answer; reward: Reward } {
  const prompt = firstPrompt(protocol, instance);
  const answer = protocol.parse(prompt, { text, stop });
  return { answer, reward: protocol.reward(instance, prompt, answer) };
}

export interface Writing extends AnyProtocol {
  demonstrationText(instance: RankingInstance, prompt: Prompt, thought: string, bestFirst: readonly string[]): string;
}

/** The candidates of a prompt by descending value; a shuffle or a label cannot change it. */
export function bestFirst(prompt: Prompt, value: (id: string) => number): string[] {
  return [...prompt.labels.values()].sort((a, b) => value(b) - value(a));
}

/** What a ranker with these values of candidates would write. Prompts with choices get log-probabilities. */
export function answerBy(protocol: AnyProtocol, instance: RankingInstance, value: (id: string) => number) {
  return (prompt: Prompt): Completion => {
    const order = bestFirst(prompt, value);
    if (prompt.choices !== undefined) return { ...says(''), choiceLogprobs: [value(order[0] as string), 0] };
    if (protocol.name.startsWith('pointwise')) return says(`x</think><answer>${value(order[0] as string)}</answer>`);
    return says((protocol as Writing).demonstrationText(instance, prompt, 'x', order));
  };
}

/** A generator of one instance by a function of the prompt. */
export const generateBy =
  (answer: (prompt: Prompt) => Completion): Generate =>
  async (prompts) =>
    prompts.map(answer);
