/** Retrieved thoughts in front of a protocol's questions. The protocol itself, its parser and its reward stay as they are. */
import type { Prompt, Protocol, RankingInstance } from '../types.js';
import { contextLines, neutralise } from './labels.js';
import type { Thought } from './thought-store.js';

/** Plain data. */
export interface TemplateState<State> {
  readonly templates: string;
  readonly inner: State;
}

/** The block of text before a question; empty without thoughts. Nothing in it can look like a label or an answer. */
export function writeTemplates(thoughts: readonly Thought[]): string {
  if (thoughts.length === 0) return '';
  const cases = thoughts.map(({ context, thought }, index) =>
    [`Case ${index + 1}:`, ...contextLines(context), `Thought: ${neutralise(thought)}`].join('\n'),
  );
  return `Thoughts that led to right answers in similar cases, as examples of how to think:\n\n${cases.join('\n\n')}\n\nNow the case to decide.\n\n`;
}

const chatMlUser = '<|im_start|>user\n ';

/** In the last message of the user; in a prompt that is written by hand, at the beginning of that message. */
function putBefore(prompt: Prompt, templates: string): Prompt {
  if (templates === '') return prompt;
  const last = prompt.messages.findLastIndex(({ role }) => role === 'user');
  if (last >= 0) {
    const messages = prompt.messages.map((message, index) =>
      index === last ? { ...message, content: templates + message.content } : message,
    );
    return { ...prompt, messages };
  }
  const at = prompt.prefix.lastIndexOf(chatMlUser);
  const cut = at < 0 ? 0 : at + chatMlUser.length;
  return { ...prompt, prefix: prompt.prefix.slice(0, cut) + templates + prompt.prefix.slice(cut) };
}

/** @param thoughts by instance id, as `ThoughtStore.retrieve` gives them; an instance that is not there gets none */
export function withThoughts<State>(
  protocol: Protocol<State>,
  thoughts: ReadonlyMap<string, readonly Thought[]>,
): Protocol<TemplateState<State>> {
  const templatesFor = ({ id }: RankingInstance): string => writeTemplates(thoughts.get(id) ?? []);
  return {
    name: `${protocol.name}+thoughts`,
    start: (instance) => ({ templates: templatesFor(instance), inner: protocol.start(instance) }),
    prompts: ({ templates, inner }) => protocol.prompts(inner).map((prompt) => putBefore(prompt, templates)),
    parse: (prompt, completion) => protocol.parse(prompt, completion),
    advance: ({ templates, inner }, answers) => ({ templates, inner: protocol.advance(inner, answers) }),
    done: ({ inner }) => protocol.done(inner),
    ranking: ({ inner }) => protocol.ranking(inner),
    reward: (instance, prompt, answer) => protocol.reward(instance, prompt, answer),
  };
}
