/** The elements of a JSON file that is one large array, without holding the file. */
import { createReadStream } from 'node:fs';
import { WinnowError } from '../errors.js';
import type { JsonLine } from './jsonl.js';
import { unreadable } from './reading.js';

const code = 'ERR_DATA_JSONL';
const quote = 0x22;
const backslash = 0x5c;
const isBlank = (byte: number): boolean => byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
const opens = (byte: number): boolean => byte === 0x7b || byte === 0x5b;
const closes = (byte: number): boolean => byte === 0x7d || byte === 0x5d;

/** Cuts the bytes of `[a, b, …]` at the commas of the outermost array. */
class ArraySplitter {
  line = 1;
  state: 'before' | 'inside' | 'after' = 'before';
  #depth = 0;
  #inString = false;
  #escaped = false;
  #pending: Buffer[] = [];
  #elementLine = 0;
  #commaSeen = false;

  /** The elements that end in this chunk, as bytes with the line that they begin on. */
  *push(chunk: Buffer, fail: (problem: string) => WinnowError): Generator<{ number: number; bytes: Buffer }> {
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (byte === 0x0a) this.line++;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === backslash) this.#escaped = true;
        else if (byte === quote) this.#inString = false;
        continue;
      }
      if (isBlank(byte)) continue;
      if (this.state !== 'inside') {
        if (this.state === 'after' || byte !== 0x5b) throw fail('is no JSON array');
        this.state = 'inside';
        start = i + 1;
        continue;
      }
      const separates = this.#depth === 0 && (byte === 0x2c || byte === 0x5d);
      if (!separates && this.#elementLine === 0) this.#elementLine = this.line;
      if (separates) {
        const isLast = byte === 0x5d;
        this.#pending.push(chunk.subarray(start, i));
        start = i + 1;
        if (this.#elementLine > 0) yield { number: this.#elementLine, bytes: Buffer.concat(this.#pending) };
        else if (!isLast || this.#commaSeen) throw fail('lacks an element of the array');
        this.#pending = [];
        this.#elementLine = 0;
        this.#commaSeen = true;
        if (isLast) this.state = 'after';
      } else if (byte === quote) this.#inString = true;
      else if (opens(byte)) this.#depth++;
      else if (closes(byte)) this.#depth--;
    }
    if (this.state === 'inside') this.#pending.push(chunk.subarray(start));
  }
}

function parseElement(path: string, number: number, bytes: Buffer): JsonLine {
  try {
    return { number, value: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) };
  } catch (cause) {
    throw new WinnowError(code, `${path}:${number}: an element of the array is not JSON`, {
      expected: 'JSON values in UTF-8',
      received: JSON.stringify(bytes.subarray(0, 40).toString('latin1').trim()),
      cause,
    });
  }
}

/** Streams the elements with the lines that they begin on. @throws WinnowError ERR_DATA_JSONL with file and line */
export async function* readJsonArray(path: string): AsyncGenerator<JsonLine> {
  const splitter = new ArraySplitter();
  const fail = (problem: string): WinnowError =>
    new WinnowError(code, `${path}:${splitter.line} ${problem}`, { expected: 'one JSON array' });
  let isFirst = true;
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      const marked = isFirst && chunk.length >= 3 && chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf;
      isFirst = false;
      for (const { number, bytes } of splitter.push(marked ? chunk.subarray(3) : chunk, fail)) {
        yield parseElement(path, number, bytes);
      }
    }
  } catch (cause) {
    if (cause instanceof WinnowError) throw cause;
    throw unreadable(path, code, cause);
  }
  if (splitter.state !== 'after') throw fail('ends before the array does');
}
