import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { WinnowError } from '../errors.js';

const chunkCharacters = 1 << 20;

function writeError(path: string, cause: unknown): unknown {
  const { code, syscall, message } = cause as NodeJS.ErrnoException;
  // Only a failed system call is the file's; any other error comes from whoever makes the chunks and keeps its own shape.
  if (cause instanceof WinnowError || syscall === undefined) return cause;
  return new WinnowError('ERR_FILE_WRITE', `${path} cannot be written`, {
    expected: 'a writable folder with free space',
    received: `${code} (${message})`,
    cause,
  });
}

async function writeChunks(file: FileHandle, chunks: Iterable<string> | AsyncIterable<string>): Promise<void> {
  let held = '';
  for await (const chunk of chunks) {
    held += chunk;
    if (held.length >= chunkCharacters) {
      await file.writeFile(held);
      held = '';
    }
  }
  await file.writeFile(held);
  await file.sync();
}

/**
 * Writes a whole text file or nothing: the chunks go to a hidden file beside `path`, which takes its name after a flush to the
 * disk. A failure leaves what was there before. Missing folders are made.
 *
 * @throws WinnowError ERR_FILE_WRITE; errors of `chunks` pass through
 */
export async function writeFileAtomic(
  path: string,
  chunks: Iterable<string> | AsyncIterable<string> | string,
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  let file: FileHandle | undefined;
  try {
    await mkdir(dirname(path), { recursive: true });
    file = await open(temporary, 'w');
    await writeChunks(file, typeof chunks === 'string' ? [chunks] : chunks);
    await file.close();
    await rename(temporary, path);
  } catch (cause) {
    if (file) {
      await file.close();
      await rm(temporary, { force: true });
    }
    throw writeError(path, cause);
  }
}
