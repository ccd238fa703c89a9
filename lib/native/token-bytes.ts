import { argumentError } from './checks.js';

interface FlatTokenBytes {
  tokenBytes: Uint8Array;
  /** Length tokens + 1; empty when there are no tokens. */
  tokenByteOffsets: Float64Array;
}

// A vocabulary has 150,000 entries and callers pass the same array every time.
const flattened = new WeakMap<readonly Uint8Array[], FlatTokenBytes>();

/** The bytes of all tokens, one after the other. */
export function flattenTokenBytes(path: string, tokens: readonly Uint8Array[]): FlatTokenBytes {
  if (tokens.length === 0) return { tokenBytes: new Uint8Array(0), tokenByteOffsets: new Float64Array(0) };
  const known = flattened.get(tokens);
  if (known) return known;
  const tokenByteOffsets = new Float64Array(tokens.length + 1);
  for (const [index, bytes] of tokens.entries()) {
    if (!(bytes instanceof Uint8Array)) throw argumentError(`${path}[${index}]`, 'a Uint8Array', bytes);
    tokenByteOffsets[index + 1] = (tokenByteOffsets[index] as number) + bytes.length;
  }
  const tokenBytes = new Uint8Array(tokenByteOffsets[tokens.length] as number);
  for (const [index, bytes] of tokens.entries()) tokenBytes.set(bytes, tokenByteOffsets[index]);
  const flat = { tokenBytes, tokenByteOffsets };
  flattened.set(tokens, flat);
  return flat;
}
