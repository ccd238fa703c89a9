import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { WinnowError } from '../errors.js';
import { writeError, writeFileAtomic } from './atomic-file.js';
import type { Place } from './fields.js';
import { readLines } from './lines.js';

const code = 'ERR_OUTPUT';
const chunkBytes = 1 << 20;

export interface KeyedText {
  readonly key: string;
  /** Whole lines. */
  readonly text: string;
}

interface Lines {
  /** Byte offsets: start, end, start, end, ... */
  readonly ranges: number[];
  count: number;
}

/** The bytes of `path` after its last line break do not belong to a line; they are what a kill left of one. */
async function cutTornLine(path: string, file: FileHandle): Promise<void> {
  const { size } = await file.stat();
  const chunk = Buffer.alloc(chunkBytes);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - chunkBytes);
    await file.read(chunk, 0, end - start, start);
    const found = chunk.subarray(0, end - start).lastIndexOf(0x0a);
    if (found >= 0 || start === 0) {
      const whole = found >= 0 ? start + found + 1 : 0;
      if (whole < size) await file.truncate(whole).catch((cause) => Promise.reject(writeError(path, cause)));
      return;
    }
    end = start;
  }
}

/**
 * A text file of lines that belong to keys: lines are appended as they come; what a killed process leaves can be opened again;
 * `rewrite` puts the keys in order. Only offsets are held in memory.
 */
export class KeyedLines {
  readonly path: string;
  readonly #lines = new Map<string, Lines>();
  #file: FileHandle;
  #sizeBytes = 0;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  /**
   * Opens the file, or makes it, and cuts off a torn last line.
   *
   * @param keyOf the key of a line that is there; it may throw
   * @throws WinnowError ERR_FILE_WRITE; ERR_OUTPUT for a file that this class did not write; errors of `keyOf`
   */
  static async open(path: string, keyOf: (text: string, place: Place) => string): Promise<KeyedLines> {
    const opened = await openForAppending(path);
    const lines = new KeyedLines(path, opened);
    try {
      await cutTornLine(path, opened);
      for await (const { number, text } of readLines(path, code)) {
        lines.#note(keyOf(text, { code, path, line: number }), Buffer.byteLength(text) + 1, 1);
      }
      const { size } = await opened.stat();
      if (size !== lines.#sizeBytes) {
        throw new WinnowError(code, `${path} has been edited`, {
          expected: 'lines that end in LF alone, without a byte-order mark',
          received: `${size} bytes instead of ${lines.#sizeBytes}`,
        });
      }
    } catch (cause) {
      await opened.close();
      throw cause;
    }
    return lines;
  }

  #note(key: string, sizeBytes: number, count: number): void {
    const lines = this.#lines.get(key) ?? { ranges: [], count: 0 };
    const { ranges } = lines;
    const end = this.#sizeBytes + sizeBytes;
    if (ranges.at(-1) === this.#sizeBytes) ranges[ranges.length - 1] = end;
    else ranges.push(this.#sizeBytes, end);
    lines.count += count;
    this.#lines.set(key, lines);
    this.#sizeBytes = end;
  }

  /** In the order in which they first came. */
  keys(): string[] {
    return [...this.#lines.keys()];
  }

  lineCount(key: string): number {
    return this.#lines.get(key)?.count ?? 0;
  }

  /** Appends the texts in one write; a process that is killed after it keeps them. @throws WinnowError ERR_FILE_WRITE */
  async append(texts: readonly KeyedText[]): Promise<void> {
    if (texts.length === 0) return;
    try {
      await this.#file.appendFile(texts.map(({ text }) => text).join(''));
    } catch (cause) {
      throw writeError(this.path, cause);
    }
    for (const { key, text } of texts) this.#note(key, Buffer.byteLength(text), text.split('\n').length - 1);
  }

  /** Returns when the disk has what was appended. @throws WinnowError ERR_FILE_WRITE */
  async flush(): Promise<void> {
    await this.#file.datasync().catch((cause) => Promise.reject(writeError(this.path, cause)));
  }

  /** Puts the lines of these keys in the place of the file, in this order and the lines of each together; atomically. */
  async rewrite(keys: readonly string[]): Promise<void> {
    const kept = keys.flatMap((key) => {
      const lines = this.#lines.get(key);
      return lines ? [{ key, ...lines }] : [];
    });
    await this.#file.close();
    try {
      const ranges = kept.flatMap((one) => one.ranges);
      await writeFileAtomic(this.path, readRanges(this.path, ranges));
    } finally {
      this.#file = await openForAppending(this.path);
    }
    this.#lines.clear();
    this.#sizeBytes = 0;
    for (const { key, ranges, count } of kept) {
      const sizeBytes = ranges.reduce((sum, offset, index) => sum + (index % 2 === 0 ? -offset : offset), 0);
      this.#note(key, sizeBytes, count);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

async function openForAppending(path: string): Promise<FileHandle> {
  try {
    await mkdir(dirname(path), { recursive: true });
    return await open(path, 'a+');
  } catch (cause) {
    throw writeError(path, cause);
  }
}

async function* readRanges(path: string, ranges: readonly number[]): AsyncGenerator<string> {
  const file = await open(path, 'r');
  try {
    for (let index = 0; index < ranges.length; index += 2) {
      const start = ranges[index] as number;
      const bytes = Buffer.alloc((ranges[index + 1] as number) - start);
      await file.read(bytes, 0, bytes.length, start);
      yield bytes.toString('utf8');
    }
  } finally {
    await file.close();
  }
}
