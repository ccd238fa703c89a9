import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tokenizer as RustTokenizer } from 'tokenizers';
import { afterAll, describe, expect, it } from 'vitest';
import { pieceToBytes, toByteCharacters } from '../../lib/text/token-bytes.js';
import { Tokenizer } from '../../lib/text/tokenizer.js';

const qwenFolder = join(import.meta.dirname, '../../../shared/data/tokenizer/qwen2.5-instruct');
const scratch = mkdtempSync(join(tmpdir(), 'winnow-tokenizer-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const hardTexts = [
  'Hello world',
  'I\'ve watched the following movies, 1999\'s "Fight Club" & co. — naïve café',
  '  two  spaces\t\ttabs\n\n\nbreaks \r\n end ',
  '日本語のテキスト 한국어 العربية हिन्दी',
  '👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 \u00e9 \u212b ﬁ',
  '1234567890 3.14159 0x1F',
  '<|im_start|>system\nYou are<|im_end|>\n<think>x</think><answer>[A]</answer><|endoftext|>',
  'A\u200bB\u00a0C\u3000D\u2028E',
  "don't WON'T it'll 'S 'Re",
  '\u0000\u0001\u007f',
  'ſ K ǅ ß İ',
  '!!!???...---___===+++',
  '<|im_start|><|im_start|> <|notspecial|>',
];

describe.skipIf(!existsSync(qwenFolder))('the Qwen2.5 tokenizer (skipped without the data folder)', () => {
  const tokenizer = existsSync(qwenFolder) ? Tokenizer.fromFolder(qwenFolder) : (undefined as never);

  it('gives the same ids and texts as the Rust implementation', async () => {
    const rust = RustTokenizer.fromFile(join(qwenFolder, 'tokenizer.json'));
    const long = hardTexts.join('\n').repeat(20);
    for (const text of [...hardTexts, long]) {
      const expected = (await rust.encode(text, null, { addSpecialTokens: false })).getIds();
      const ids = tokenizer.encode(text);
      expect([...ids], JSON.stringify(text)).toEqual(expected);
      expect(tokenizer.decode(ids)).toBe(await rust.decode(expected, false));
    }
  });

  it('decodes nothing to nothing, and broken bytes to U+FFFD', () => {
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.encode('')).toEqual(new Int32Array(0));
    const firstByteOfEmoji = tokenizer.tokenId('ð') as number;
    expect(tokenizer.decode([firstByteOfEmoji])).toBe('\ufffd');
  });

  it('tells the bytes of every token: together they are the text', () => {
    const bytes = tokenizer.tokenBytes();
    expect(bytes.length).toBe(tokenizer.vocabularySize);
    for (const text of hardTexts) {
      const joined = Buffer.concat([...tokenizer.encode(text)].map((id) => bytes[id] as Uint8Array));
      expect(joined.toString('utf8')).toBe(text.normalize('NFC'));
    }
  });

  it('knows its special tokens', () => {
    expect(tokenizer.eosTokenId).toBe(151643);
    expect(tokenizer.tokenId('<|im_end|>')).toBe(151645);
    expect(tokenizer.tokenId('no such piece')).toBeUndefined();
    expect(tokenizer.vocabularySize).toBe(151665);
  });

  it('renders the chat template', () => {
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: ' {{ x }} {% y %}' },
    ] as const;
    expect(tokenizer.renderChat(messages, { addGenerationPrompt: true })).toBe(
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n {{ x }} {% y %}<|im_end|>\n<|im_start|>assistant\n',
    );
    expect(tokenizer.renderChat([{ role: 'user', content: 'a' }], { addGenerationPrompt: false })).toBe(
      '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' +
        '<|im_start|>user\na<|im_end|>\n',
    );
  });

  it('survives saving', () => {
    const folder = join(scratch, 'qwen');
    tokenizer.saveTo(folder);
    const again = Tokenizer.fromFolder(folder);
    for (const text of hardTexts) expect(again.encode(text)).toEqual(tokenizer.encode(text));
    expect(again.chatTemplate).toBe(tokenizer.chatTemplate);
  });
});

function wordLevelJson(extra: object = {}): Record<string, unknown> {
  return {
    version: '1.0',
    added_tokens: [{ id: 3, content: '<eos>', special: true, normalized: false }],
    normalizer: null,
    pre_tokenizer: { type: 'WhitespaceSplit' },
    post_processor: null,
    decoder: { type: 'Fuse' },
    model: { type: 'WordLevel', vocab: { a: 0, b: 1, ' ': 2 }, unk_token: null },
    ...extra,
  };
}

describe('Tokenizer', () => {
  it('reads chat_template.jinja before the configuration, and lists of named templates', () => {
    const folder = join(scratch, 'jinja');
    mkdirSync(folder);
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(wordLevelJson()));
    const config = {
      chat_template: [{ name: 'default', template: 'D{{ eos_token }}' }],
      eos_token: { content: '<eos>' },
    };
    writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
    const render = (): string => Tokenizer.fromFolder(folder).renderChat([], { addGenerationPrompt: true });
    expect(render()).toBe('D<eos>');
    writeFileSync(join(folder, 'chat_template.jinja'), 'F{% if add_generation_prompt %}!{% endif %}');
    expect(render()).toBe('F!');
    expect(Tokenizer.fromFolder(folder).eosTokenId).toBe(3);
  });

  it('refuses to chat without a template unless the plain form is chosen', () => {
    const tokenizer = Tokenizer.fromJson(wordLevelJson());
    const messages = [{ role: 'user', content: 'a' }] as const;
    expect(() => tokenizer.renderChat(messages, { addGenerationPrompt: true })).toThrow(
      expect.objectContaining({ code: 'ERR_CHAT_TEMPLATE_MISSING' }),
    );
    expect(tokenizer.renderChat(messages, { addGenerationPrompt: true, withoutTemplate: 'plain' })).toBe(
      'user: a\n\nassistant: ',
    );
  });

  it('passes on a refusal of the template, and one that does not compile', () => {
    const refusing = Tokenizer.fromJson(wordLevelJson(), { chat_template: "{{ raise_exception('no system role') }}" });
    expect(() => refusing.renderChat([], { addGenerationPrompt: true })).toThrow(
      expect.objectContaining({ code: 'ERR_CHAT_TEMPLATE', received: expect.stringContaining('no system role') }),
    );
    expect(() => Tokenizer.fromJson(wordLevelJson(), { chat_template: '{% if %}' })).toThrow(
      expect.objectContaining({ code: 'ERR_CHAT_TEMPLATE' }),
    );
  });

  it('reports text outside a vocabulary without an unknown token, and what is no id; padded ids have no text', () => {
    const tokenizer = Tokenizer.fromJson(wordLevelJson());
    expect([...tokenizer.encode('a b')]).toEqual([0, 1]);
    expect(() => tokenizer.encode('a zebra')).toThrow(expect.objectContaining({ code: 'ERR_TOKENIZER_TEXT' }));
    expect(tokenizer.decode([4])).toBe('');
    expect(tokenizer.decode([0, 4, 1])).toBe(tokenizer.decode([0, 1]));
    for (const id of [-1, 1.5, Number.NaN]) {
      expect(() => tokenizer.decode([id])).toThrow(expect.objectContaining({ code: 'ERR_TOKEN_RANGE' }));
    }
  });

  it('reports missing and broken files with their codes', () => {
    const code = (run: () => unknown): unknown => {
      try {
        run();
      } catch (error) {
        return (error as { code?: string }).code;
      }
      return undefined;
    };
    expect(code(() => Tokenizer.fromFolder(join(scratch, 'nowhere')))).toBe('ERR_TOKENIZER_MISSING');
    const broken = join(scratch, 'broken');
    mkdirSync(broken);
    writeFileSync(join(broken, 'tokenizer.json'), '{"model": ');
    expect(code(() => Tokenizer.fromFolder(broken))).toBe('ERR_TOKENIZER_FILE');
    writeFileSync(join(broken, 'tokenizer.json'), '{"model": {}}');
    expect(code(() => Tokenizer.fromFolder(broken))).toBe('ERR_TOKENIZER_FILE');
    writeFileSync(join(broken, 'tokenizer.json'), '7');
    expect(code(() => Tokenizer.fromFolder(broken))).toBe('ERR_TOKENIZER_FILE');
    const file = join(scratch, 'a-file');
    writeFileSync(file, 'x');
    expect(code(() => Tokenizer.fromJson(wordLevelJson()).saveTo(file))).toBe('ERR_FILE_WRITE');
    expect(readFileSync(file, 'utf8')).toBe('x');
  });
});

describe('pieceToBytes', () => {
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

  it('undoes the byte alphabet', () => {
    const convert = pieceToBytes({ type: 'ByteLevel' });
    for (let byte = 0; byte < 256; byte++) {
      const piece = toByteCharacters('é\n '.concat(String.fromCharCode(byte)));
      expect(text(convert(piece))).toBe('é\n '.concat(String.fromCharCode(byte)));
    }
    expect([...convert('Ġé')]).toEqual([0x20, 0xe9]);
  });

  it('reads SentencePiece-like chains', () => {
    const convert = pieceToBytes({
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
      ],
    });
    expect(text(convert('▁the▁'))).toBe(' the ');
    expect([...convert('<0xE9>')]).toEqual([0xe9]);
  });

  it('refuses decoders whose bytes depend on the neighbours', () => {
    for (const decoder of [{ type: 'WordPiece' }, null]) {
      expect(() => pieceToBytes(decoder)).toThrow(expect.objectContaining({ code: 'ERR_TOKENIZER_BYTES' }));
    }
  });
});
