import { WinnowError } from '../errors.js';
import { writeFileAtomic } from './atomic-file.js';
import { readLines } from './lines.js';

export interface JsonLine {
  /** From 1. */
  readonly number: number;
  readonly value: unknown;
}

/** The values of a JSON Lines file, streamed. Blank lines are skipped; a broken line is ERR_DATA_JSONL with file and line. */
export async function* readJsonLines(path: string): AsyncGenerator<JsonLine> {
  for await (const { number, text } of readLines(path, 'ERR_DATA_JSONL')) {
    if (text.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new WinnowError('ERR_DATA_JSONL', `${path}:${number} is not JSON`, {
        expected: 'one JSON value a line',
        received: JSON.stringify(text.slice(0, 40)),
        cause,
      });
    }
    yield { number, value };
  }
}

/** Writes one JSON value a line, atomically. */
export async function writeJsonLines(path: string, values: Iterable<unknown> | AsyncIterable<unknown>): Promise<void> {
  async function* lines(): AsyncGenerator<string> {
    let number = 0;
    for await (const value of values) {
      number++;
      const text = JSON.stringify(value);
      if (text === undefined) {
        throw new WinnowError('ERR_DATA_JSONL', `value ${number} for ${path} has no JSON form`, {
          expected: 'a JSON value',
          received: typeof value,
        });
      }
      yield `${text}\n`;
    }
  }
  await writeFileAtomic(path, lines());
}
