// Types of everything that is TypeScript, by tsc: the library, the tests, the benchmarks and the examples in one project.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const compiler = createRequire(import.meta.url).resolve('typescript/bin/tsc');

/** Remembers what it has seen under build/, so that a second run takes seconds. */
export function checkTypes(root) {
  const project = ['test/tsconfig.json', 'tsconfig.json'].find((path) => existsSync(join(root, path)));
  const options = ['-p', project, '--noEmit', '--pretty', 'false', '--incremental'];
  const cache = ['--tsBuildInfoFile', join(root, 'build/check.tsbuildinfo')];
  const run = spawnSync(process.execPath, [compiler, ...options, ...cache], { cwd: root, encoding: 'utf8' });
  return run.status === 0 ? [] : run.stdout.trimEnd().split('\n');
}
