import { WinnowError } from '../errors.js';

/** What a value is, for an error message. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean')
    return String(value);
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object') return `a ${value.constructor?.name ?? 'object'}`;
  return `a ${typeof value}`;
}

export function argumentError(path: string, expected: string, value: unknown): WinnowError {
  return new WinnowError('ERR_ARGUMENT', `${path} does not fit`, { expected, received: describeValue(value) });
}

/** Refuses keys that no option has, naming those it has. */
export function knownKeys(path: string, value: object, known: readonly string[]): void {
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) throw argumentError(`${path}.${key}`, `one of ${known.join(', ')}`, key);
  }
}

/** Checks an array of token sequences and lays it out flat. */
export function flattenSequences(
  path: string,
  sequences: readonly Int32Array[],
): { tokens: Int32Array; offsets: Float64Array } {
  if (!Array.isArray(sequences)) throw argumentError(path, 'an array of Int32Array', sequences);
  const offsets = new Float64Array(sequences.length + 1);
  sequences.forEach((sequence, index) => {
    if (!(sequence instanceof Int32Array)) throw argumentError(`${path}[${index}]`, 'an Int32Array', sequence);
    offsets[index + 1] = (offsets[index] as number) + sequence.length;
  });
  const tokens = new Int32Array(offsets[sequences.length] as number);
  for (const [index, sequence] of sequences.entries()) tokens.set(sequence, offsets[index] as number);
  return { tokens, offsets };
}

/** Per-sequence values, one for every token of `sequences`, laid out like the tokens. */
export function flattenAligned(
  path: string,
  values: readonly Float32Array[],
  sequences: readonly Int32Array[],
): Float32Array {
  if (!Array.isArray(values) || values.length !== sequences.length)
    throw argumentError(path, `an array of ${sequences.length} Float32Array, one a sequence`, values);
  const total = sequences.reduce((sum, sequence) => sum + sequence.length, 0);
  const flat = new Float32Array(total);
  let at = 0;
  for (const [index, sequence] of sequences.entries()) {
    const part = values[index];
    const fits = part instanceof Float32Array && part.length === sequence.length;
    if (!fits) {
      const received = part instanceof Float32Array ? part.length : part;
      throw argumentError(`${path}[${index}]`, `a Float32Array of ${sequence.length}`, received);
    }
    flat.set(part, at);
    at += part.length;
  }
  return flat;
}

/** Cuts a flat array back into one array a sequence. */
export function splitByOffsets<Flat extends Float32Array | Int32Array>(flat: Flat, offsets: Float64Array): Flat[] {
  const parts: Flat[] = [];
  for (let index = 0; index + 1 < offsets.length; index++)
    parts.push(flat.slice(offsets[index], offsets[index + 1]) as Flat);
  return parts;
}
