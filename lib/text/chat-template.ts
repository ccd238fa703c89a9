import { Template } from '@huggingface/jinja';
import { WinnowError } from '../errors.js';
import type { Message } from '../types.js';

/** A model's chat template, compiled once. */
export class ChatTemplate {
  readonly source: string;
  readonly #template: Template;

  /** @throws WinnowError ERR_CHAT_TEMPLATE when `source` is not a Jinja template */
  constructor(source: string) {
    this.source = source;
    try {
      this.#template = new Template(source);
    } catch (cause) {
      throw new WinnowError('ERR_CHAT_TEMPLATE', 'the chat template does not compile', {
        expected: 'a Jinja template',
        received: cause instanceof Error ? cause.message : String(cause),
        cause,
      });
    }
  }

  /**
   * @param variables the special tokens by their names in tokenizer_config.json, e.g. eos_token
   * @throws WinnowError ERR_CHAT_TEMPLATE, with the template's own words when it refuses the messages
   */
  render(
    messages: readonly Message[],
    addGenerationPrompt: boolean,
    variables: Readonly<Record<string, unknown>>,
  ): string {
    try {
      return this.#template.render({
        ...variables,
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (cause) {
      throw new WinnowError('ERR_CHAT_TEMPLATE', 'the chat template refuses the messages', {
        expected: 'messages that the model was made for',
        received: cause instanceof Error ? cause.message : String(cause),
        cause,
      });
    }
  }
}

/** For base models, when explicitly chosen: the messages one after another, `role: content`, blank lines between them. */
export function renderPlainChat(messages: readonly Message[], addGenerationPrompt: boolean): string {
  const turns = messages.map(({ role, content }) => `${role}: ${content}\n\n`).join('');
  return addGenerationPrompt ? `${turns}assistant: ` : turns;
}
