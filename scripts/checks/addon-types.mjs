// The hand-written types of the addon against its live exports: the test that compares them, where an addon has been built.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');

export function checkAddonTypes(root, { file = 'test/border/addon-types.test.ts' } = {}) {
  if (!existsSync(join(root, 'build/native/winnow.node'))) {
    console.log('       skipped: no addon is built; npm run build');
    return [];
  }
  const env = { ...process.env, NO_COLOR: '1' };
  const run = spawnSync(process.execPath, [vitest, 'run', file], { cwd: root, encoding: 'utf8', env });
  return run.status === 0 ? [] : `${run.stdout}${run.stderr}`.trimEnd().split('\n');
}
