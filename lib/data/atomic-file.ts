import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { WinnowError } from '../errors.js';

const chunkCharacters = 1 << 20;

/** Hidden and of this process alone, in the folder of `path`, so that a rename is one instant. */
const temporaryBeside = (path: string): string => join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);

/** ERR_FILE_WRITE for a failed system call; anything else as it is. */
export function writeError(path: string, cause: unknown): unknown {
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
  const temporary = temporaryBeside(path);
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

/** Flushes a file, or a folder's list of names, to the disk. */
export function syncPath(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * `writeFileAtomic` for a small content, at once: for the moments of a run that must not be interrupted. The folder must be there.
 * Errors are the system's own.
 *
 * @param options.sync whether content and name are flushed to the disk
 */
export function writeFileAtomicSync(
  path: string,
  content: string | Uint8Array,
  options: { readonly sync: boolean },
): void {
  const temporary = temporaryBeside(path);
  try {
    writeFileSync(temporary, content);
    if (options.sync) syncPath(temporary);
    renameSync(temporary, path);
    if (options.sync) syncPath(dirname(path));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
