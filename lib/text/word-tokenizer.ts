import { byteCharacters, toByteCharacters } from './token-bytes.js';
import { Tokenizer } from './tokenizer.js';

/** Ends a sequence; id 0. */
export const wordEndToken = '<|endoftext|>';

/** Tags that are one token each; they are ordinary text when decoded. */
const tags: readonly string[] = ['<think>', '</think>', '<answer>', '</answer>'];

/**
 * Pieces, each with the space before it: a phrase in bars `|...|`, a label in brackets, a word (letters, digits and inner
 * apostrophes), one other character; then single line breaks and what white space is left.
 */
const splitPattern =
  " ?\\|[^|\\r\\n]*\\|| ?\\[(?:[A-Z]{1,3}|[0-9]{1,4})\\]| ?[\\p{L}\\p{N}]+(?:'[\\p{L}\\p{N}]+)*| ?[^\\s\\p{L}\\p{N}]|\\n|\\s";

/** A conversation is the contents of its messages and nothing else: from-scratch models have no roles to learn. */
const contentsTemplate = '{% for message in messages %}{{ message.content }}{% endfor %}';

export interface WordTokenizerOptions {
  /** A piece must occur this often to become a token; default 1. */
  readonly minimumCount?: number;
  /** Jinja; default: the contents of the messages one after another. */
  readonly chatTemplate?: string;
}

/** The pieces of `text` that would be tokens. Tags are not split. */
function piecesOf(text: string): string[] {
  const parts = text.split(/(<\/?(?:think|answer)>|<\|endoftext\|>)/);
  const pattern = new RegExp(splitPattern, 'gu');
  return parts.flatMap((part, index) => (index % 2 === 1 ? [] : (part.match(pattern) ?? [])));
}

/**
 * A small tokenizer for a model trained from random weights: every word of `texts`, with the space before it, is one token, and
 * whatever else comes is spelled in bytes. So any text is encoded without loss, `decode(encode(x)) === x`, and none needs an
 * unknown token.
 *
 * It is a byte-level BPE in the Hugging Face format with no merges: `ignore_merges` makes a whole piece that is in the
 * vocabulary one token, and a piece that is not falls apart into its bytes. Ids: 0 the end of a sequence, then the tags, the 256
 * bytes, and the words, most frequent first and ties in order of code points.
 */
export function buildWordTokenizer(texts: Iterable<string>, options: WordTokenizerOptions = {}): Tokenizer {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const piece of piecesOf(text)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
  }
  const minimum = options.minimumCount ?? 1;
  const words = [...counts]
    .filter(([, count]) => count >= minimum)
    .sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
    .map(([piece]) => toByteCharacters(piece))
    .filter((piece) => piece.length > 1);
  const added = [wordEndToken, ...tags];
  const vocabulary = [...added, ...byteCharacters, ...words];
  const tokenizerJson = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: content === wordEndToken,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: splitPattern }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: true,
      vocab: Object.fromEntries(vocabulary.map((piece, id) => [piece, id])),
      merges: [],
    },
  };
  return Tokenizer.fromJson(tokenizerJson, {
    tokenizer_class: 'PreTrainedTokenizerFast',
    eos_token: wordEndToken,
    pad_token: wordEndToken,
    clean_up_tokenization_spaces: false,
    chat_template: options.chatTemplate ?? contentsTemplate,
  });
}
