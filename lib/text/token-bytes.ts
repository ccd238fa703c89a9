import { WinnowError } from '../errors.js';

/** A decoder of tokenizer.json, as far as it matters here. */
interface DecoderConfig {
  readonly type: string;
  readonly decoders?: readonly DecoderConfig[];
  readonly pattern?: { readonly String?: string };
  readonly content?: string;
  readonly replacement?: string;
}

/** GPT-2's printable stand-ins for bytes: printable Latin-1 characters stand for themselves, the rest follow from U+0100 on. */
function byteOfCharacter(): Map<string, number> {
  const map = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    map.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return map;
}

const bytesByCharacter = byteOfCharacter();

/** The stand-in character of every byte, in the order of the bytes. */
export const byteCharacters: readonly string[] = [...bytesByCharacter.keys()];

const utf8 = new TextEncoder();

/** UTF-8 bytes of `text` as a byte-level vocabulary writes them. */
export function toByteCharacters(text: string): string {
  return Array.from(utf8.encode(text), (byte) => byteCharacters[byte]).join('');
}

function flatten(decoder: DecoderConfig | null): DecoderConfig[] {
  if (decoder === null) return [];
  return decoder.type === 'Sequence' ? (decoder.decoders ?? []).flatMap(flatten) : [decoder];
}

/**
 * How one piece of the vocabulary becomes bytes, from the decoder of tokenizer.json. Known: ByteLevel (GPT-2, Qwen, Llama 3),
 * SentencePiece-like chains (Replace or Metaspace, ByteFallback, Fuse, Strip) and pieces that stand for themselves (Fuse).
 *
 * @throws WinnowError ERR_TOKENIZER_BYTES for decoders whose bytes depend on the neighbours (WordPiece, CTC, ...)
 */
export function pieceToBytes(decoder: DecoderConfig | null): (piece: string) => Uint8Array {
  const steps = flatten(decoder);
  if (steps.some(({ type }) => type === 'ByteLevel')) {
    return (piece) => {
      const bytes = Array.from(piece, (character) => bytesByCharacter.get(character));
      // A piece outside the byte alphabet was added by hand and stands for its own text.
      return bytes.every((byte) => byte !== undefined) ? Uint8Array.from(bytes) : utf8.encode(piece);
    };
  }
  const known = new Set(['Replace', 'Metaspace', 'ByteFallback', 'Fuse', 'Strip']);
  const foreign = steps.find(({ type }) => !known.has(type));
  if (steps.length === 0 || foreign) {
    throw new WinnowError('ERR_TOKENIZER_BYTES', 'the bytes of single tokens cannot be told', {
      expected: `a decoder of ByteLevel, ${[...known].join(', ')}`,
      received: foreign?.type ?? 'no decoder',
      hint: 'stop at tokens instead of strings',
    });
  }
  const byteFallback = steps.some(({ type }) => type === 'ByteFallback');
  return (piece) => {
    const byte = byteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(piece) : null;
    if (byte) return Uint8Array.of(Number.parseInt(byte[1] as string, 16));
    let text = piece;
    for (const step of steps) {
      if (step.type === 'Metaspace') text = text.replaceAll(step.replacement ?? '\u2581', ' ');
      if (step.type === 'Replace' && step.pattern?.String)
        text = text.replaceAll(step.pattern.String, step.content ?? '');
    }
    return utf8.encode(text);
  };
}
