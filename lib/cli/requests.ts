/** The lines that `score`, `generate` and `tokenize` read: JSON objects that give a text in one of several forms. */
import { readJsonLines } from '../data/jsonl.js';
import { WinnowError } from '../errors.js';
import type { Tokenizer } from '../text/index.js';
import type { Message } from '../types.js';
import type { LoadedModel } from './model-folder.js';

export type RequestField = 'tokens' | 'text' | 'prompt' | 'messages';

/** One line: exactly one of the fields, and where it stood, e.g. "in.jsonl:7". */
export interface RequestLine {
  readonly where: string;
  readonly field: RequestField;
  readonly value: unknown;
}

/** Streams the lines of `path` ("-" = standard input); each must have exactly one of `fields`. ERR_DATA_JSONL otherwise. */
export async function* readRequests(path: string, fields: readonly RequestField[]): AsyncGenerator<RequestLine> {
  for await (const { number, value } of readJsonLines(path)) {
    const where = `${path}:${number}`;
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    const present = isObject ? fields.filter((field) => field in value) : [];
    const field = present[0];
    if (field === undefined || present.length > 1)
      throw new WinnowError('ERR_DATA_JSONL', `${where} is no request`, {
        expected: `an object with one of ${fields.map((name) => `"${name}"`).join(', ')}`,
        received: present.length > 1 ? present.join(' and ') : JSON.stringify(value).slice(0, 60),
      });
    yield { where, field, value: (value as Record<string, unknown>)[field] };
  }
}

/** The text of a "text", "prompt" or "messages" line; messages are rendered by the chat template, ready for an answer. */
export function requestText(line: RequestLine, tokenizer: Tokenizer): string {
  if (line.field === 'messages') return tokenizer.renderChat(readMessages(line), { addGenerationPrompt: true });
  if (typeof line.value === 'string') return line.value;
  throw wrongLine(line, 'a string');
}

/** The tokens of a line: at least one, each inside the vocabulary, with `room` for that many more in the context. */
export function requestTokens(line: RequestLine, loaded: LoadedModel, room: number): Int32Array {
  const { vocabulary, maxPositions } = loaded.model.config;
  const tokens = line.field === 'tokens' ? readTokens(line) : encode(line, loaded.language().tokenizer);
  if (tokens.length === 0)
    throw new WinnowError('ERR_PROMPT_EMPTY', `${line.where} has no tokens`, { expected: 'at least one token' });
  const wrong = tokens.findIndex((token) => token < 0 || token >= vocabulary);
  if (wrong >= 0)
    throw new WinnowError('ERR_TOKEN_RANGE', `${line.where}: token ${wrong} is outside the vocabulary`, {
      expected: `0 to ${vocabulary - 1}`,
      received: String(tokens[wrong]),
      hint: 'the tokens may come from the tokenizer of another model',
    });
  if (tokens.length + room > maxPositions)
    throw new WinnowError('ERR_CONTEXT_LENGTH', `${line.where} is too long for the model`, {
      expected: `at most ${maxPositions - room} tokens (${maxPositions} positions)`,
      received: `${tokens.length} tokens`,
    });
  return tokens;
}

const encode = (line: RequestLine, tokenizer: Tokenizer): Int32Array => tokenizer.encode(requestText(line, tokenizer));

const MAX_TOKEN = 2 ** 31 - 1;

function readTokens(line: RequestLine): Int32Array {
  const { value } = line;
  const isToken = (item: unknown): boolean => Number.isInteger(item) && Math.abs(item as number) <= MAX_TOKEN;
  if (!Array.isArray(value) || !value.every(isToken)) throw wrongLine(line, 'an array of token ids');
  return Int32Array.from(value as number[]);
}

const ROLES = ['system', 'user', 'assistant'];

function readMessages(line: RequestLine): Message[] {
  const isMessage = (item: unknown): boolean => {
    const { role, content } = (item ?? {}) as Record<string, unknown>;
    return ROLES.includes(role as string) && typeof content === 'string';
  };
  if (!Array.isArray(line.value) || line.value.length === 0 || !line.value.every(isMessage))
    throw wrongLine(line, `a list of {"role": ${ROLES.join(' or ')}, "content": string}`);
  return line.value as Message[];
}

function wrongLine(line: RequestLine, expected: string): WinnowError {
  return new WinnowError('ERR_DATA_JSONL', `${line.where}: "${line.field}" cannot be used`, {
    expected,
    received: JSON.stringify(line.value)?.slice(0, 60) ?? 'nothing',
  });
}

/** A line as tokens, with its 0-based place among the lines. */
export interface TokenRequest {
  readonly index: number;
  readonly where: string;
  readonly tokens: Int32Array;
}

export interface BatchLimits {
  readonly maxLines: number;
  readonly maxTokens: number;
  /** New tokens that each line must leave room for. */
  readonly room: number;
}

/** Groups the lines of `path`, in order, into batches for the engine; a file of any length needs little memory. */
export async function* readBatches(
  path: string,
  fields: readonly RequestField[],
  loaded: LoadedModel,
  limits: BatchLimits,
): AsyncGenerator<TokenRequest[]> {
  let batch: TokenRequest[] = [];
  let tokensHeld = 0;
  let index = 0;
  for await (const line of readRequests(path, fields)) {
    const tokens = requestTokens(line, loaded, limits.room);
    if (batch.length > 0 && (batch.length >= limits.maxLines || tokensHeld + tokens.length > limits.maxTokens)) {
      yield batch;
      batch = [];
      tokensHeld = 0;
    }
    batch.push({ index: index++, where: line.where, tokens });
    tokensHeld += tokens.length;
  }
  if (batch.length > 0) yield batch;
}

/** Runs an engine call over a batch; its error also tells the lines. */
export async function overLines<T>(batch: readonly TokenRequest[], call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof WinnowError) || error.code === 'ERR_INTERRUPTED') throw error;
    const lines = `${batch[0]?.where} to ${batch.at(-1)?.where}`;
    const { expected, received, hint } = error;
    throw new WinnowError(error.code, `${lines}: ${error.message}`, {
      ...(expected === undefined ? {} : { expected }),
      ...(received === undefined ? {} : { received }),
      ...(hint === undefined ? {} : { hint }),
      cause: error,
    });
  }
}
