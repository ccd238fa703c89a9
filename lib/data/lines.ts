import { createReadStream } from 'node:fs';
import { WinnowError } from '../errors.js';
import { unreadable } from './reading.js';

export interface Line {
  /** From 1. */
  readonly number: number;
  readonly text: string;
}

/** A longer line is a wrong file, and must not fill the memory. */
const maxLineBytes = 256 * 1024 * 1024;

/**
 * The lines of a UTF-8 file, streamed. Only LF and CRLF end a line (node:readline also splits at U+2028, which JSON allows
 * inside a string). A byte-order mark is dropped; invalid UTF-8 is an error and not a replacement character.
 *
 * @param path "-" = standard input
 * @param code of the errors: a missing file, a broken encoding, an endless line
 */
export async function* readLines(path: string, code: string): AsyncGenerator<Line> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let number = 0;
  const decode = (bytes: Buffer): Line => {
    number++;
    const end = bytes.length > 0 && bytes[bytes.length - 1] === 0x0d ? bytes.length - 1 : bytes.length;
    try {
      const text = decoder.decode(bytes.subarray(0, end));
      return { number, text: number === 1 && text.startsWith('\ufeff') ? text.slice(1) : text };
    } catch (cause) {
      throw new WinnowError(code, `${path}:${number} is not valid UTF-8`, { expected: 'UTF-8 text', cause });
    }
  };
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  try {
    for await (const chunk of (path === '-' ? process.stdin : createReadStream(path)) as AsyncIterable<Buffer>) {
      let start = 0;
      for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
        pending.push(chunk.subarray(start, end));
        yield decode(pending.length === 1 ? (pending[0] as Buffer) : Buffer.concat(pending));
        pending = [];
        pendingBytes = 0;
        start = end + 1;
      }
      pending.push(chunk.subarray(start));
      pendingBytes += chunk.length - start;
      if (pendingBytes > maxLineBytes) {
        throw new WinnowError(code, `${path}:${number + 1} does not end`, {
          expected: `lines of at most ${maxLineBytes} bytes`,
        });
      }
    }
  } catch (cause) {
    if (cause instanceof WinnowError) throw cause;
    throw unreadable(path, code, cause);
  }
  if (pendingBytes > 0) yield decode(Buffer.concat(pending));
}
