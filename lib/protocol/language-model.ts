import { WinnowError } from '../errors.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { Completion, Prompt } from '../types.js';

/** What is used of a native `Model`; anything with this shape serves, a test's fake too. */
export interface GenerativeModel {
  readonly config: { readonly vocabulary: number; readonly maxPositions: number };
  generate(
    request: {
      prompts: Int32Array[];
      promptKeys?: number[];
      maxTokens: number;
      temperature?: number;
      topK?: number;
      topP?: number;
      minP?: number;
      seed?: number;
      completionsPerPrompt?: number;
      stopTokens?: number[];
      stopStrings?: string[];
      tokenBytes?: Uint8Array[];
      maxBatch?: number;
      maxKvBytes?: number;
      maxPrefixBytes?: number;
      maxActivationBytes?: number;
    },
    options?: { signal?: AbortSignal; onProgress?: (done: number, total: number) => void },
  ): Promise<{
    completions: { tokens: Int32Array; logprobs: Float32Array; stop: Completion['stop'] }[][];
    statistics?: { promptTokens: number; prefilledTokens: number; decodedTokens: number };
  }>;
  /** Log-probability of every token given those before it; needed for prompts with `choices` alone. */
  score?(request: { sequences: Int32Array[] }, options?: { signal?: AbortSignal }): Promise<Float32Array[]>;
  /** A vector for each sequence; needed for `embed` alone. */
  embed?(request: { sequences: Int32Array[] }, options?: { signal?: AbortSignal }): Promise<Float32Array[]>;
}

export interface CompleteRequest {
  readonly maxTokens: number;
  /** Default 1; 0 = greedy. */
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  /** Completions per prompt; default 1. */
  readonly n?: number;
  readonly seed?: number;
  /** Identity of each prompt for the random numbers; default 0, 1, 2, ... */
  readonly promptKeys?: readonly number[];
  readonly stopStrings?: readonly string[];
  readonly maxBatch?: number;
  readonly maxKvBytes?: number;
  /** See `GenerateRequest` of the engine; the next one too. */
  readonly maxPrefixBytes?: number;
  readonly maxActivationBytes?: number;
}

export interface CompleteOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Rounds of one ranking begin alike: what `generator` keeps of their prompts' keys, in bytes. */
const PREFIX_BYTES = 2 ** 28;

/** Tokens of all calls of `complete` so far. */
export interface TokenUsage {
  /** As given. */
  readonly prompt: number;
  /** As computed: common beginnings once, and none whose keys were kept. */
  readonly computedPrompt: number;
  readonly completion: number;
}

/** A model with its tokenizer: prompts in, texts out. */
export class LanguageModel {
  readonly model: GenerativeModel;
  readonly tokenizer: Tokenizer;
  readonly stopTokens: readonly number[];
  #usage: TokenUsage = { prompt: 0, computedPrompt: 0, completion: 0 };
  #tokenBytes: Uint8Array[] | undefined;

  /**
   * @param options.stopTokens default: the tokenizer's end-of-sequence token
   * @throws WinnowError ERR_TOKENIZER_VOCABULARY when the tokenizer can yield ids that the model does not have
   */
  constructor(model: GenerativeModel, tokenizer: Tokenizer, options: { stopTokens?: readonly number[] } = {}) {
    if (tokenizer.vocabularySize > model.config.vocabulary) {
      throw new WinnowError('ERR_TOKENIZER_VOCABULARY', 'the tokenizer does not fit the model', {
        expected: `at most ${model.config.vocabulary} tokens, the model's vocabulary`,
        received: String(tokenizer.vocabularySize),
        hint: 'take tokenizer.json from the folder of this model',
      });
    }
    this.model = model;
    this.tokenizer = tokenizer;
    const eos = tokenizer.eosTokenId;
    this.stopTokens = options.stopTokens ?? (eos === undefined ? [] : [eos]);
  }

  get usage(): TokenUsage {
    return this.#usage;
  }

  /**
   * The token ids of a prompt: the chat template over its messages, then its prefix. A prompt without messages is its prefix.
   *
   * @throws WinnowError ERR_PROMPT_EMPTY, ERR_CONTEXT_LENGTH, ERR_CHAT_TEMPLATE_MISSING
   */
  render(prompt: Pick<Prompt, 'messages' | 'prefix'>): Int32Array {
    const chat =
      prompt.messages.length === 0 ? '' : this.tokenizer.renderChat(prompt.messages, { addGenerationPrompt: true });
    const tokens = this.tokenizer.encode(chat + prompt.prefix);
    if (tokens.length === 0) {
      throw new WinnowError('ERR_PROMPT_EMPTY', 'a prompt has no tokens', { expected: 'at least one token' });
    }
    if (tokens.length >= this.model.config.maxPositions) {
      throw new WinnowError('ERR_CONTEXT_LENGTH', 'a prompt leaves no room for a completion', {
        expected: `fewer tokens than the ${this.model.config.maxPositions} positions of the model`,
        received: String(tokens.length),
        hint: 'shorten the history or the candidate texts',
      });
    }
    return tokens;
  }

  /** The text of sampled tokens, without the stop token that ended them. */
  textOf(tokens: Int32Array, stop: Completion['stop']): string {
    return this.tokenizer.decode(stop === 'stop_token' ? tokens.subarray(0, -1) : tokens);
  }

  /** `n` completions for every prompt, in the order of the prompts. */
  async complete(
    prompts: readonly Pick<Prompt, 'messages' | 'prefix'>[],
    request: CompleteRequest,
    options: CompleteOptions = {},
  ): Promise<Completion[][]> {
    if (prompts.length === 0) return [];
    const { n, promptKeys, stopStrings, ...sampling } = request;
    if (stopStrings?.length) this.#tokenBytes ??= this.tokenizer.tokenBytes();
    const { completions, statistics } = await this.model.generate(
      {
        ...sampling,
        prompts: prompts.map((prompt) => this.render(prompt)),
        stopTokens: [...this.stopTokens],
        completionsPerPrompt: n ?? 1,
        ...(promptKeys ? { promptKeys: [...promptKeys] } : {}),
        ...(stopStrings?.length ? { stopStrings: [...stopStrings], tokenBytes: this.#tokenBytes as Uint8Array[] } : {}),
      },
      options,
    );
    if (statistics) {
      this.#usage = {
        prompt: this.#usage.prompt + statistics.promptTokens,
        computedPrompt: this.#usage.computedPrompt + statistics.prefilledTokens,
        completion: this.#usage.completion + statistics.decodedTokens,
      };
    }
    return completions.map((group) =>
      group.map(({ tokens, logprobs, stop }) => ({ tokens, logprobs, stop, text: this.textOf(tokens, stop) })),
    );
  }

  /** How likely each of a prompt's `choices` is; the text is the likeliest, and nothing is sampled. */
  async scoreChoices(prompts: readonly Prompt[], options: CompleteOptions = {}): Promise<Completion[]> {
    if (this.model.score === undefined) {
      throw new WinnowError('ERR_ARGUMENT', 'this model cannot score texts', { expected: 'a model with score()' });
    }
    const sequences = prompts.flatMap((prompt) => {
      const start = this.render(prompt);
      return (prompt.choices ?? []).map((choice) => ({ start, end: this.tokenizer.encode(choice) }));
    });
    const { signal } = options;
    const logprobs = await this.model.score(
      { sequences: sequences.map(({ start, end }) => Int32Array.from([...start, ...end])) },
      signal ? { signal } : {},
    );
    const sums = sequences.map(({ start }, index) =>
      (logprobs[index] as Float32Array).subarray(start.length).reduce((sum, value) => sum + value, 0),
    );
    let next = 0;
    return prompts.map(({ choices = [] }) => {
      const choiceLogprobs = sums.slice(next, next + choices.length);
      next += choices.length;
      const text = choices[choiceLogprobs.indexOf(Math.max(...choiceLogprobs))] ?? '';
      return { text, stop: 'stop_token', tokens: new Int32Array(0), logprobs: new Float32Array(0), choiceLogprobs };
    });
  }

  /**
   * One vector a text, for `ThoughtStore.retrieve`: the mean of the model's hidden states over the text's tokens, without a chat
   * template. A text without tokens has a vector of length 0 in every direction: it resembles nothing.
   *
   * @throws WinnowError ERR_CONTEXT_LENGTH
   */
  async embed(texts: readonly string[], options: CompleteOptions = {}): Promise<Float32Array[]> {
    if (this.model.embed === undefined) {
      throw new WinnowError('ERR_ARGUMENT', 'this model cannot embed texts', { expected: 'a model with embed()' });
    }
    const encoded = texts.map((text) => this.tokenizer.encode(text));
    const { signal } = options;
    const sequences = encoded.filter(({ length }) => length > 0);
    const vectors = await this.model.embed({ sequences }, signal ? { signal } : {});
    const width = vectors[0]?.length ?? 0;
    let next = 0;
    return encoded.map(({ length }) => (length === 0 ? new Float32Array(width) : (vectors[next++] as Float32Array)));
  }

  /**
   * A generator for `rankAll`: one completion per prompt, drawn by the keys that the driver gives; prompts with `choices` are scored.
   */
  generator(request: Omit<CompleteRequest, 'n' | 'promptKeys'>, options: CompleteOptions = {}) {
    return async (prompts: readonly Prompt[], { promptKeys }: { readonly promptKeys: readonly number[] }) => {
      const sampled = prompts.flatMap((prompt, index) => (prompt.choices === undefined ? [{ prompt, index }] : []));
      const scored = prompts.flatMap((prompt, index) => (prompt.choices === undefined ? [] : [{ prompt, index }]));
      const keys = sampled.map(({ index }) => promptKeys[index] as number);
      const groups = await this.complete(
        sampled.map(({ prompt }) => prompt),
        { maxPrefixBytes: PREFIX_BYTES, ...request, promptKeys: keys },
        options,
      );
      const choices =
        scored.length === 0
          ? []
          : await this.scoreChoices(
              scored.map(({ prompt }) => prompt),
              options,
            );
      const completions: Completion[] = [];
      sampled.forEach(({ index }, place) => {
        completions[index] = groups[place]?.[0] as Completion;
      });
      scored.forEach(({ index }, place) => {
        completions[index] = choices[place] as Completion;
      });
      return completions;
    };
  }
}
