import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { Tokenizer as RustTokenizer } from 'tokenizers';
import { afterAll, describe, expect, it } from 'vitest';
import { buildWordTokenizer } from '../../lib/text/word-tokenizer.js';

const folder = mkdtempSync(join(tmpdir(), 'winnow-words-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const corpus = [
  ' bode tosa ; vatu nomu ;\n [A] kali nanu [B] vatu pelu\n<think> likes horror ; [A] mystery drop ;</think><answer> [A]</answer>',
  " |Toy Story| |It's a Wonderful Life|\n [A] |Heat| [B] |Dead Heat|",
];
const tokenizer = buildWordTokenizer(corpus);

describe('buildWordTokenizer', () => {
  it('makes a word, a label, a tag and a phrase one token each, the same wherever they stand', () => {
    const pieces = (text: string): string[] => [...tokenizer.encode(text)].map((id) => tokenizer.decode([id]));
    expect(pieces(" vatu ; [A] vatu\n</think> |It's a Wonderful Life|")).toEqual([
      ' vatu',
      ' ;',
      ' [A]',
      ' vatu',
      '\n',
      '</think>',
      " |It's a Wonderful Life|",
    ]);
    const first = tokenizer.encode(' [A]');
    expect(tokenizer.encode('<answer> [A]</answer>')[1]).toBe(first[0]);
  });

  it('gives every text back, the training texts and any other', () => {
    for (const text of [...corpus, '']) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    expect(tokenizer.decode([])).toBe('');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
    );
    const parts = fc.constantFrom(
      ' vatu',
      '|',
      ' [A]',
      '[',
      ']',
      '<think>',
      '</answer>',
      '\n',
      '\r\n',
      ' ',
      "'",
      'é',
      '<|endoftext|>',
      '__proto__',
    );
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 20 }), (chosen) => {
        const text = chosen.join('');
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
    );
  });

  it('is read alike by the Rust implementation', async () => {
    tokenizer.saveTo(folder);
    const rust = RustTokenizer.fromFile(join(folder, 'tokenizer.json'));
    for (const text of [...corpus, ' unseen wörd [A]日本\n\n\t |x y| |unclosed', ' [AA] [7] [abc] |a\n|b|']) {
      const ids = (await rust.encode(text, null, { addSpecialTokens: false })).getIds();
      expect([...tokenizer.encode(text)]).toEqual(ids);
      expect(await rust.decode(ids, false)).toBe(text);
    }
  });

  it('numbers the tokens reproducibly, the end of a sequence first', () => {
    const again = buildWordTokenizer(corpus);
    expect(again.encode(corpus.join(''))).toEqual(tokenizer.encode(corpus.join('')));
    expect(tokenizer.eosTokenId).toBe(0);
    expect(tokenizer.padTokenId).toBe(0);
    expect(tokenizer.tokenId('<think>')).toBe(1);
  });

  it('leaves rare words to the bytes', () => {
    const frequent = buildWordTokenizer(corpus, { minimumCount: 2 });
    expect(frequent.encode(' vatu').length).toBe(1);
    expect(frequent.encode(' pelu').length).toBe(5);
    expect(frequent.vocabularySize).toBeLessThan(tokenizer.vocabularySize);
  });

  it('needs no words at all, and takes words that are names of object properties', () => {
    const bytes = buildWordTokenizer([]);
    expect(bytes.vocabularySize).toBe(261);
    expect(bytes.decode(bytes.encode('any text'))).toBe('any text');
    const odd = buildWordTokenizer([' constructor toString 12 7']);
    expect(odd.encode(' constructor toString 12 7').length).toBe(4);
  });

  it('renders a conversation as the contents of its messages', () => {
    const messages = [
      { role: 'system', content: 'a' },
      { role: 'user', content: ' b\n' },
    ] as const;
    expect(tokenizer.renderChat(messages, { addGenerationPrompt: true })).toBe('a b\n');
  });
});
