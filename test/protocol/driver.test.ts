import { describe, expect, it } from 'vitest';
import { rankAll } from '../../lib/protocol/driver.js';
import { exclusionProtocol } from '../../lib/protocol/exclusion.js';
import { type GenerativeModel, LanguageModel } from '../../lib/protocol/language-model.js';
import { buildWordTokenizer } from '../../lib/text/word-tokenizer.js';
import type { Completion, Prompt, RankingInstance } from '../../lib/types.js';

function instanceOf(size: number, id = `of ${size}`): RankingInstance {
  return {
    id,
    task: 'Rec-Movie',
    context: 'Past',
    candidates: Array.from({ length: size }, (_, index) => ({ id: `c${index}`, text: `Movie ${index}` })),
    relevance: Array.from({ length: size }, (_, index) => (index === 0 ? 1 : 0)),
  };
}

const says = (text: string): Completion => ({
  text,
  stop: 'stop_token',
  tokens: new Int32Array(4),
  logprobs: new Float32Array(4),
});
const protocol = exclusionProtocol();
const lastLabel = (prompt: Prompt): string => [...prompt.labels.keys()].at(-1) as string;
const answerLast = (prompt: Prompt): Completion => says(`t</think><answer>${lastLabel(prompt)}</answer>`);

describe('rankAll', () => {
  it('draws by keys that depend on the instance and the step, not on the batch', async () => {
    const keysOf = async (instances: readonly RankingInstance[]) => {
      const keys = new Map<string, number>();
      await rankAll(protocol, instances, async (prompts, { promptKeys }) => {
        prompts.forEach((prompt, index) => {
          keys.set(prompt.messages[1]?.content as string, promptKeys[index] as number);
        });
        return prompts.map(answerLast);
      });
      return keys;
    };
    const alone = await keysOf([instanceOf(4)]);
    const together = await keysOf([instanceOf(3), instanceOf(4), instanceOf(6)]);
    expect(alone.size).toBe(3);
    for (const [text, key] of alone) expect(together.get(text)).toBe(key);
    expect(new Set(together.values()).size).toBe(10);
  });

  it('keep_order: goes on by the order shown, and counts', async () => {
    const [result] = await rankAll(protocol, [instanceOf(3)], async (prompts) => prompts.map(() => says('nonsense')));
    expect(result).toMatchObject({ calls: 2, malformed: { no_think: 2 }, completionTokens: 8 });
    expect(result?.ranking?.length).toBe(3);
    expect(result?.steps.map(({ used }) => used)).toEqual([true, true]);
  });

  it('retry: asks again with another key, then keeps the order', async () => {
    const keys: number[] = [];
    let call = 0;
    const [result] = await rankAll(
      protocol,
      [instanceOf(3)],
      async (prompts, { promptKeys }) => {
        keys.push(...promptKeys);
        return prompts.map((prompt) => (call++ === 1 ? answerLast(prompt) : says('')));
      },
      { malformed: { policy: 'retry', retries: 2 } },
    );
    // Step 1: one failure, one success. Step 2: three failures, then the order shown.
    expect(result).toMatchObject({ calls: 5, malformed: { empty: 4 } });
    expect(result?.steps.map(({ attempt, used }) => [attempt, used])).toEqual([
      [0, false],
      [1, true],
      [0, false],
      [1, false],
      [2, true],
    ]);
    expect(new Set(keys).size).toBe(5);
    expect(result?.ranking?.length).toBe(3);
  });

  it('fail: ends the instance there, and the others go on', async () => {
    const results = await rankAll(
      protocol,
      [instanceOf(3, 'bad'), instanceOf(3, 'good')],
      async (prompts) =>
        prompts.map((prompt, index) => (prompts.length === 2 && index === 0 ? says('') : answerLast(prompt))),
      { malformed: { policy: 'fail' } },
    );
    expect(results[0]).toMatchObject({ ranking: undefined, calls: 1, malformed: { empty: 1 } });
    expect(results[1]?.ranking?.length).toBe(3);
  });

  it('takes no instances, reports progress, obeys a signal, and refuses too few completions', async () => {
    const never = async (): Promise<Completion[]> => {
      throw new Error('asked');
    };
    expect(await rankAll(protocol, [], never)).toEqual([]);
    const progress: number[][] = [];
    await rankAll(protocol, [instanceOf(2), instanceOf(3)], async (prompts) => prompts.map(answerLast), {
      onProgress: (...report) => progress.push(report),
    });
    expect(progress).toEqual([
      [1, 2],
      [2, 2],
    ]);
    await expect(rankAll(protocol, [instanceOf(2)], never, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
    await expect(rankAll(protocol, [instanceOf(2)], async () => [])).rejects.toMatchObject({
      code: 'ERR_PROTOCOL_STEP',
    });
    await expect(rankAll(protocol, [], never, { malformed: { policy: 'ignore' as 'fail' } })).rejects.toMatchObject({
      code: 'ERR_PROTOCOL_OPTION',
    });
  });
});

describe('LanguageModel', () => {
  const compact = exclusionProtocol({ wording: 'compact' });
  const instance = instanceOf(3);
  const prompt = compact.prompts(compact.start(instance))[0] as Prompt;
  const tokenizer = buildWordTokenizer([
    `${prompt.messages[0]?.content}<think> x</think><answer> [A] [B] [C]</answer>`,
  ]);
  const script = tokenizer.encode(' x</think><answer> [B]</answer><|endoftext|>');
  const seen: Parameters<GenerativeModel['generate']>[0][] = [];
  const model: GenerativeModel = {
    config: { vocabulary: tokenizer.vocabularySize, maxPositions: 64 },
    async generate(request) {
      seen.push(request);
      const one = { tokens: script, logprobs: new Float32Array(script.length), stop: 'stop_token' as const };
      return { completions: request.prompts.map(() => new Array(request.completionsPerPrompt ?? 1).fill(one)) };
    },
  };

  it('renders messages and prefix, and reads texts without the stop token', async () => {
    const languageModel = new LanguageModel(model, tokenizer);
    const tokens = languageModel.render(prompt);
    expect(tokenizer.decode(tokens)).toBe(`${prompt.messages[0]?.content}<think>`);
    const groups = await languageModel.complete([prompt, prompt], { maxTokens: 9, n: 2, seed: 3, promptKeys: [7, 8] });
    expect(groups.map((group) => group.length)).toEqual([2, 2]);
    expect(groups[0]?.[0]?.text).toBe(' x</think><answer> [B]</answer>');
    expect(groups[0]?.[0]?.tokens.at(-1)).toBe(tokenizer.eosTokenId);
    expect(compact.parse(prompt, groups[0]?.[0] as Completion)).toMatchObject({
      ok: true,
      ids: [prompt.labels.get('B')],
    });
    expect(seen.at(-1)).toMatchObject({ maxTokens: 9, seed: 3, promptKeys: [7, 8], stopTokens: [0] });
    expect(await languageModel.complete([], { maxTokens: 1 })).toEqual([]);
  });

  it('gives the bytes of the tokens when it must stop at strings', async () => {
    await new LanguageModel(model, tokenizer).complete([prompt], { maxTokens: 1, stopStrings: ['</answer>'] });
    expect(seen.at(-1)?.tokenBytes?.length).toBe(tokenizer.vocabularySize);
  });

  it('drives rankAll', async () => {
    const generate = new LanguageModel(model, tokenizer).generator({ maxTokens: 20 });
    const [result] = await rankAll(compact, [instance], generate);
    expect(result).toMatchObject({ calls: 2, malformed: {} });
  });

  it('takes a prompt without messages as its prefix', () => {
    const raw = new LanguageModel(model, tokenizer).render({ messages: [], prefix: '<think>' });
    expect([...raw]).toEqual([tokenizer.tokenId('<think>')]);
  });

  it('refuses what does not fit', () => {
    const small: GenerativeModel = { ...model, config: { vocabulary: tokenizer.vocabularySize - 1, maxPositions: 64 } };
    const code = (run: () => unknown): unknown => {
      try {
        return run();
      } catch (error) {
        return (error as { code?: string }).code;
      }
    };
    expect(code(() => new LanguageModel(small, tokenizer))).toBe('ERR_TOKENIZER_VOCABULARY');
    const languageModel = new LanguageModel(model, tokenizer);
    expect(code(() => languageModel.render({ messages: [], prefix: '' }))).toBe('ERR_PROMPT_EMPTY');
    expect(code(() => languageModel.render({ messages: [], prefix: 'é'.repeat(40) }))).toBe('ERR_CONTEXT_LENGTH');
  });
});
