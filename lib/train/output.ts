/** Writing to the run folder: every file appears whole or not at all, and a failure of the disk has one clear code. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { syncPath, writeFileAtomicSync } from '../data/atomic-file.js';
import { WinnowError } from '../errors.js';

const kCodes: Readonly<Record<string, readonly [code: string, hint: string]>> = {
  ENOSPC: ['ERR_OUTPUT_FULL', 'free some space and continue with --resume; complete checkpoints are intact'],
  EDQUOT: ['ERR_OUTPUT_FULL', 'the disk quota is used up; free some space and continue with --resume'],
  EROFS: ['ERR_OUTPUT_READ_ONLY', 'choose another folder with --set output=DIR'],
  EACCES: ['ERR_OUTPUT_READ_ONLY', 'choose another folder with --set output=DIR'],
  EPERM: ['ERR_OUTPUT_READ_ONLY', 'choose another folder with --set output=DIR'],
};

/** What the engine and the writers of lib/data say instead of the system's code. */
const kTexts: readonly (readonly [pattern: RegExp, errno: string])[] = [
  [/ENOSPC|no space left/i, 'ENOSPC'],
  [/EDQUOT|quota exceeded/i, 'EDQUOT'],
  [/EROFS|read-only file system/i, 'EROFS'],
  [/EACCES|permission denied/i, 'EACCES'],
];

/** ERR_OUTPUT_FULL, ERR_OUTPUT_READ_ONLY or ERR_OUTPUT for an error of the file system; other errors come back as they are. */
export function outputError(path: string, cause: unknown): unknown {
  const errno = errnoOf(cause);
  if (errno === undefined) return cause;
  const [code, hint] = kCodes[errno] ?? [
    'ERR_OUTPUT',
    'check the path, or choose another folder with --set output=DIR',
  ];
  return new WinnowError(code, `cannot write ${path}`, {
    expected: 'a writable folder with free space',
    received: errno,
    hint,
    cause,
  });
}

function errnoOf(cause: unknown): string | undefined {
  if (cause instanceof WinnowError) {
    if (cause.code !== 'ERR_FILE_WRITE') return undefined;
    const text = `${cause.message} ${cause.received}`;
    return kTexts.find(([pattern]) => pattern.test(text))?.[1] ?? cause.received ?? 'an unknown error';
  }
  const errno = (cause as NodeJS.ErrnoException | undefined)?.code;
  return errno !== undefined && /^E[A-Z0-9]+$/.test(errno) ? errno : undefined;
}

/** Runs `write`, turning errors of the file system into an ERR_OUTPUT_* that names `path`. */
export function writing<T>(path: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    throw outputError(path, error);
  }
}

/** Replaces `path` in one instant: a reader, or a crash, sees the old content or the new one. */
export function writeFileAtomically(path: string, content: string | Uint8Array, options = { sync: true }): void {
  writing(path, () => writeFileAtomicSync(path, content, options));
}

/** Flushes every file and folder under `folder`. */
export function syncTree(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) syncTree(path);
    else syncPath(path);
  }
  syncPath(folder);
}

/** Makes `folder` and proves, by writing a file, that the run will be able to write there. */
export function requireWritableFolder(folder: string): void {
  writing(folder, () => {
    mkdirSync(folder, { recursive: true });
    const probe = join(folder, `.probe-${process.pid}`);
    writeFileSync(probe, 'x');
    rmSync(probe);
  });
}
