import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { WinnowError } from '../errors.js';
import type { Message } from '../types.js';
import { ChatTemplate, renderPlainChat } from './chat-template.js';
import { pieceToBytes } from './token-bytes.js';

type Json = Readonly<Record<string, unknown>>;

export interface RenderChatOptions {
  readonly addGenerationPrompt: boolean;
  /** `'plain'` uses `role: content` when the model has no template; without it that is an error. */
  readonly withoutTemplate?: 'plain';
}

function readJson(path: string): Json {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Json;
  } catch (cause) {
    throw new WinnowError('ERR_TOKENIZER_FILE', `${path} cannot be read`, {
      expected: 'a JSON file',
      received: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}

/** A special token of tokenizer_config.json: its text, or an object that holds it. */
function specialText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  const content = (value as { content?: unknown } | null | undefined)?.content;
  return typeof content === 'string' ? content : undefined;
}

/** One template, or a list of named ones, of which the one named "default" counts. */
function templateText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  const named = value as { name?: unknown; template?: unknown }[];
  const template = named.find(({ name }) => name === 'default')?.template;
  return typeof template === 'string' ? template : undefined;
}

/** A model's tokenizer with its chat template, read from the Hugging Face files. Text is never cleaned up or stripped. */
export class Tokenizer {
  /** Highest token id plus 1. */
  readonly vocabularySize: number;
  readonly eosTokenId: number | undefined;
  readonly padTokenId: number | undefined;
  readonly #inner: HuggingFaceTokenizer;
  readonly #tokenizerJson: Json;
  readonly #config: Json;
  readonly #chatTemplate: ChatTemplate | undefined;

  private constructor(tokenizerJson: Json, config: Json, templateFile: string | undefined) {
    try {
      this.#inner = new HuggingFaceTokenizer(tokenizerJson, config);
    } catch (cause) {
      throw new WinnowError('ERR_TOKENIZER_FILE', 'the tokenizer cannot be made', {
        expected: 'tokenizer.json and tokenizer_config.json in the Hugging Face format',
        received: cause instanceof Error ? cause.message : String(cause),
        cause,
      });
    }
    this.#tokenizerJson = tokenizerJson;
    this.#config = config;
    // Transformers 5 writes the template to a file of its own, which counts before the configuration.
    const template = templateFile ?? templateText(config.chat_template);
    this.#chatTemplate = template === undefined ? undefined : new ChatTemplate(template);
    let highest = -1;
    for (const id of this.#inner.get_vocab().values()) highest = Math.max(highest, id);
    this.vocabularySize = highest + 1;
    this.eosTokenId = this.#specialId('eos_token');
    this.padTokenId = this.#specialId('pad_token');
  }

  /**
   * Reads tokenizer.json, and tokenizer_config.json and chat_template.jinja where they are.
   *
   * @throws WinnowError ERR_TOKENIZER_MISSING, ERR_TOKENIZER_FILE, ERR_CHAT_TEMPLATE
   */
  static fromFolder(folder: string): Tokenizer {
    const path = join(folder, 'tokenizer.json');
    if (!existsSync(path)) {
      throw new WinnowError('ERR_TOKENIZER_MISSING', `${folder} has no tokenizer`, {
        expected: 'a file tokenizer.json',
        hint: 'save the tokenizer as a fast one (tokenizer.json), or give token ids instead of text',
      });
    }
    const configPath = join(folder, 'tokenizer_config.json');
    const templatePath = join(folder, 'chat_template.jinja');
    return new Tokenizer(
      readJson(path),
      existsSync(configPath) ? readJson(configPath) : {},
      existsSync(templatePath) ? readFileSync(templatePath, 'utf8') : undefined,
    );
  }

  /** @param tokenizerJson the content of tokenizer.json; @param tokenizerConfig of tokenizer_config.json */
  static fromJson(tokenizerJson: Json, tokenizerConfig: Json = {}): Tokenizer {
    return new Tokenizer(tokenizerJson, tokenizerConfig, undefined);
  }

  #specialId(name: string): number | undefined {
    const text = specialText(this.#config[name]);
    return text === undefined ? undefined : this.tokenId(text);
  }

  /**
   * Token ids of `text`. No special tokens are added; those written in `text` are recognised.
   *
   * @throws WinnowError ERR_TOKENIZER_TEXT when a piece is not in the vocabulary and the tokenizer has no unknown token
   */
  encode(text: string): Int32Array {
    if (text === '') return new Int32Array(0);
    const { ids, tokens } = this.#inner.encode(text, { add_special_tokens: false });
    const missing = (ids as (number | undefined)[]).indexOf(undefined);
    if (missing !== -1) {
      throw new WinnowError('ERR_TOKENIZER_TEXT', 'a text cannot be encoded', {
        expected: 'pieces of the vocabulary',
        received: JSON.stringify(tokens[missing]),
      });
    }
    return Int32Array.from(ids);
  }

  /**
   * The text of token ids, special tokens included; '' for none. Bytes that are no UTF-8 become U+FFFD. Ids without a token add
   * nothing, as in transformers: models pad their vocabulary beyond the tokenizer's, and may sample there.
   *
   * @throws WinnowError ERR_TOKEN_RANGE for what is no id
   */
  decode(tokens: ArrayLike<number>): string {
    const bad = Array.from(tokens).find((id) => !Number.isInteger(id) || id < 0);
    if (bad !== undefined) {
      throw new WinnowError('ERR_TOKEN_RANGE', 'a token id is not valid', {
        expected: 'integers from 0',
        received: String(bad),
      });
    }
    const ids = Array.from(tokens).filter((id) => this.#inner.id_to_token(id) !== undefined);
    if (ids.length === 0) return '';
    return this.#inner.decode(ids, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
  }

  /** Id of a piece as the vocabulary writes it, e.g. "Ġthe" or "<|im_end|>". */
  tokenId(piece: string): number | undefined {
    return this.#inner.token_to_id(piece);
  }

  /**
   * The bytes that each token adds to a text, by token id; empty where an id is unused.
   *
   * @throws WinnowError ERR_TOKENIZER_BYTES
   */
  tokenBytes(): Uint8Array[] {
    const convert = pieceToBytes(this.#tokenizerJson.decoder as Parameters<typeof pieceToBytes>[0]);
    const added = this.#inner.get_added_tokens_decoder();
    const encoder = new TextEncoder();
    return Array.from({ length: this.vocabularySize }, (_, id) => {
      const addedToken = added.get(id);
      if (addedToken) return encoder.encode(addedToken.content);
      const piece = this.#inner.id_to_token(id);
      return piece === undefined ? new Uint8Array(0) : convert(piece);
    });
  }

  /** The source of the chat template, if the model has one. */
  get chatTemplate(): string | undefined {
    return this.#chatTemplate?.source;
  }

  /**
   * The text of a conversation, ready for `encode`.
   *
   * @throws WinnowError ERR_CHAT_TEMPLATE_MISSING, ERR_CHAT_TEMPLATE
   */
  renderChat(messages: readonly Message[], options: RenderChatOptions): string {
    if (this.#chatTemplate) {
      const variables: Record<string, unknown> = {};
      for (const [name, value] of Object.entries(this.#config)) {
        if (name.endsWith('_token')) variables[name] = specialText(value) ?? '';
      }
      return this.#chatTemplate.render(messages, options.addGenerationPrompt, variables);
    }
    if (options.withoutTemplate === 'plain') return renderPlainChat(messages, options.addGenerationPrompt);
    throw new WinnowError('ERR_CHAT_TEMPLATE_MISSING', 'the model has no chat template', {
      expected: 'chat_template in tokenizer_config.json, or chat_template.jinja',
      hint: "pass a prompt as text, or choose the plain form: withoutTemplate: 'plain'",
    });
  }

  /** Writes tokenizer.json and tokenizer_config.json (with the template) to an existing or new folder. */
  saveTo(folder: string): void {
    const template = this.chatTemplate;
    const config = template === undefined ? this.#config : { ...this.#config, chat_template: template };
    try {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(this.#tokenizerJson));
      writeFileSync(join(folder, 'tokenizer_config.json'), `${JSON.stringify(config, undefined, 2)}\n`);
    } catch (cause) {
      throw new WinnowError('ERR_FILE_WRITE', `the tokenizer cannot be written to ${folder}`, {
        expected: 'a writable folder with free space',
        received: (cause as NodeJS.ErrnoException).code ?? String(cause),
        cause,
      });
    }
  }
}
