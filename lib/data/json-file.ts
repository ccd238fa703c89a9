import { readFile } from 'node:fs/promises';
import { WinnowError } from '../errors.js';
import { unreadable } from './reading.js';

/**
 * The value of a whole JSON file; for files of instances and rows use JSON Lines, which is streamed.
 *
 * @param code of the errors: a missing file, invalid UTF-8, broken JSON
 */
export async function readJsonFile(path: string, code: string): Promise<unknown> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw unreadable(path, code, cause);
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new WinnowError(code, `${path} is not valid UTF-8`, { expected: 'UTF-8 text', cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new WinnowError(code, `${path} is not JSON`, {
      expected: 'one JSON value',
      received: (cause as Error).message.slice(0, 120),
      cause,
    });
  }
}
