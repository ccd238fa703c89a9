import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cmakeAddon, gypAddon, root, runChild, tinyConfig } from './support.js';

const both = existsSync(cmakeAddon) && existsSync(gypAddon);

describe('the two builds', () => {
  it.skipIf(!both)('answer alike, bit for bit', async () => {
    const run = async (addon: string) => {
      const child = await runChild('answers.mjs', [addon, JSON.stringify(tinyConfig)]);
      expect(child).toMatchObject({ status: 0, stderr: '' });
      return JSON.parse(child.stdout) as { buildInfo: Record<string, unknown>; answers: Record<string, string> };
    };
    const [cmake, gyp] = [await run(cmakeAddon), await run(gypAddon)];
    expect(cmake.buildInfo.builder).toBe('cmake');
    expect(gyp.buildInfo.builder).toBe('gyp');
    expect({ ...gyp.buildInfo, builder: 'cmake' }).toEqual(cmake.buildInfo);
    expect(Object.keys(cmake.answers).length).toBeGreaterThan(5);
    expect(gyp.answers).toEqual(cmake.answers);
  });
  if (!both) console.log('skipped: the two builds: build both with `node scripts/ensure.mjs --test`');

  it('refuse the handles of each other', async () => {
    if (!both) return;
    const child = await runChild('foreign-handle.mjs', [cmakeAddon, gypAddon]);
    expect(child).toMatchObject({ status: 0, stdout: 'ERR_HANDLE\n', stderr: '' });
  });

  it('share one list of sources, which is what is on disk', () => {
    const check = () => execFileSync(process.execPath, ['native/sources.mjs', 'check'], { cwd: root, stdio: 'pipe' });
    expect(check).not.toThrow();
  });
});
