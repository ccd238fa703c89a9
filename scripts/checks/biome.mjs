// Format and lint of TypeScript, JavaScript and JSON, by Biome with the biome.json of the tree.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

const binary = createRequire(import.meta.url).resolve('@biomejs/biome/bin/biome');

export function checkBiome(root, { write = false } = {}) {
  const command = write ? ['check', '--write'] : ['check'];
  const run = spawnSync(process.execPath, [binary, ...command, '--error-on-warnings', '--colors=off'], {
    cwd: root,
    encoding: 'utf8',
  });
  return run.status === 0 ? [] : `${run.stdout}${run.stderr}`.trimEnd().split('\n');
}
