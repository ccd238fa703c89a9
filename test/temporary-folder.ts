/** Whatever tests and the programs they start leave under the system's temporary folder lies in one folder of this run, removed at its end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Vitest calls it once, before it forks the processes of the tests, which inherit the variable. */
export function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'winnow-tests-'));
  process.env.TMPDIR = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
