import { readdir } from 'node:fs/promises';
import { WinnowError } from '../errors.js';

/** What the operating system says of a failed call. */
const reasonOf = (cause: unknown): string => (cause as NodeJS.ErrnoException).code ?? String(cause);

/** The error of a file that cannot be opened or read. */
export function unreadable(path: string, code: string, cause: unknown): WinnowError {
  return new WinnowError(code, `${path} cannot be read`, {
    expected: 'a readable file',
    received: reasonOf(cause),
    cause,
  });
}

/**
 * The names in a folder, sorted.
 *
 * @param expected what the folder should be
 * @throws WinnowError ERR_DATA_SOURCE
 */
export async function listFolder(folder: string, expected: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (cause) {
    throw new WinnowError('ERR_DATA_SOURCE', `${folder} cannot be listed`, {
      expected,
      received: reasonOf(cause),
      cause,
    });
  }
}
