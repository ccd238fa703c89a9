/**
 * The append-only JSON-lines files of a run. A checkpoint records their lengths, and resuming cuts them back to those
 * lengths, so that a resumed run writes the same lines as one that was never interrupted.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { WinnowError } from '../errors.js';
import { writing } from './output.js';

/**
 * - `metrics`: what the configuration determines; two runs of one configuration on one machine agree byte for byte.
 * - `timing`: seconds per phase, aligned with `metrics` by step.
 * - `samples`: a few completions of some steps, with their rewards.
 * - `thoughts`: rewarded thoughts, if the configuration keeps them.
 */
export type JournalName = 'metrics' | 'timing' | 'samples' | 'thoughts';
export const kJournals: readonly JournalName[] = ['metrics', 'timing', 'samples', 'thoughts'];

/** Lengths in bytes. */
export type JournalPositions = Readonly<Record<JournalName, number>>;

export class Journal {
  readonly #folder: string;
  readonly #files = new Map<JournalName, { descriptor: number; size: number }>();

  /** Opens the journals of `folder`, cut back to `positions`; without positions they start empty. */
  constructor(folder: string, positions: JournalPositions = { metrics: 0, timing: 0, samples: 0, thoughts: 0 }) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
    for (const name of kJournals) {
      const path = journalPath(folder, name);
      requireLength(path, positions[name]);
      const descriptor = writing(path, () => openSync(path, existsSync(path) ? 'r+' : 'w'));
      writing(path, () => ftruncateSync(descriptor, positions[name]));
      this.#files.set(name, { descriptor, size: positions[name] });
    }
  }

  /** Adds one line, whole or not at all. */
  append(name: JournalName, record: object): void {
    const file = this.#file(name);
    const line = Buffer.from(`${JSON.stringify(record)}\n`);
    writing(journalPath(this.#folder, name), () => {
      try {
        for (let done = 0; done < line.length; ) {
          done += writeSync(file.descriptor, line, done, line.length - done, file.size + done);
        }
      } catch (error) {
        ftruncateSync(file.descriptor, file.size);
        throw error;
      }
    });
    file.size += line.length;
  }

  positions(): JournalPositions {
    const size = (name: JournalName) => this.#file(name).size;
    return { metrics: size('metrics'), timing: size('timing'), samples: size('samples'), thoughts: size('thoughts') };
  }

  /** Flushes everything appended so far to the disk. */
  sync(): void {
    for (const { descriptor } of this.#files.values()) writing(this.#folder, () => fsyncSync(descriptor));
  }

  close(): void {
    for (const { descriptor } of this.#files.values()) closeSync(descriptor);
    this.#files.clear();
  }

  #file(name: JournalName): { descriptor: number; size: number } {
    const file = this.#files.get(name);
    if (file === undefined) throw new WinnowError('ERR_DISPOSED', 'the journal is closed');
    return file;
  }
}

export function journalPath(folder: string, name: JournalName): string {
  return join(folder, `${name}.jsonl`);
}

/** The records of a journal that may still be growing: a last line that is not finished yet is left out. */
export function readJournal(folder: string, name: JournalName): unknown[] {
  const path = journalPath(folder, name);
  if (!existsSync(path)) return [];
  const text = readFileSync(path, 'utf8');
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line));
}

function requireLength(path: string, expected: number): void {
  const received = existsSync(path) ? statSync(path).size : 0;
  if (received >= expected) return;
  throw new WinnowError('ERR_CHECKPOINT', `${path} is shorter than the checkpoint says`, {
    expected: `at least ${expected} bytes`,
    received: `${received} bytes`,
    hint: 'restore the file, or start a new run in another folder',
  });
}
