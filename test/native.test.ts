import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const buildFolder = fileURLToPath(new URL('../build/cmake-release', import.meta.url));
const hasCtest = spawnSync('ctest', ['--version']).status === 0;
const isBuilt = existsSync(`${buildFolder}/CTestTestfile.cmake`);

// Built by `node scripts/ensure.mjs --test`; `npm run test:native` does both.
const reason = hasCtest ? 'run `npm run test:native` first' : 'ctest was not found';
if (!hasCtest || !isBuilt) console.log(`skipped: the C++ tests: ${reason}`);

it.skipIf(!hasCtest || !isBuilt)('the C++ tests pass', { timeout: 600_000 }, () => {
  const run = spawnSync('ctest', ['--test-dir', buildFolder, '--output-on-failure'], { encoding: 'utf8' });
  expect(run.status, run.stdout + run.stderr).toBe(0);
  expect(run.stdout).toMatch(/100% tests passed, 0 tests failed out of [1-9]/);
});
