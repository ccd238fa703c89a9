// Content stamps: a step runs again only when the contents of its inputs, or its outputs, changed.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root, ToolError } from './process.mjs';

function filesOf(path) {
  if (!existsSync(path)) return [];
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** SHA-256 over the names and contents of files and folders (relative to the root), and of `extra`. */
export function hashInputs(paths, extra = '') {
  const hash = createHash('sha256').update(extra);
  for (const path of paths)
    for (const file of filesOf(join(root, path))) hash.update(`\0${file}\0`).update(readFileSync(file));
  return hash.digest('hex');
}

/** Runs `step` unless `stamp` holds `hash` and every output exists. Returns whether it ran. */
export async function onceFor({ stamp, hash, outputs, step }) {
  const stampPath = join(root, stamp);
  const complete = outputs.every((output) => existsSync(join(root, output)));
  if (complete && existsSync(stampPath) && readFileSync(stampPath, 'utf8') === hash) return false;
  rmSync(stampPath, { force: true });
  await step();
  mkdirSync(dirname(stampPath), { recursive: true });
  writeFileSync(stampPath, hash);
  return true;
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Two builds in one checkout take turns; the lock of a process that is gone is taken over. */
export async function withBuildLock(body) {
  const lock = join(root, 'build', '.lock');
  mkdirSync(dirname(lock), { recursive: true });
  const deadline = Date.now() + 30 * 60_000;
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const owner = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : 0;
    if (owner > 0 && !isRunning(owner)) rmSync(lock, { force: true });
    if (Date.now() > deadline) throw new ToolError(`another build (process ${owner}) holds build/.lock for 30 minutes`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  try {
    return await body();
  } finally {
    rmSync(lock, { force: true });
  }
}
