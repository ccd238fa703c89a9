// npm run bench:compare -- OLD.json NEW.json: compiles bench/ and compares two runs of `winnow bench`.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = (cwd, ...args) => {
  const { status } = spawnSync(process.execPath, args, { cwd, stdio: 'inherit' });
  return status ?? 2;
};

const compiled = run(root, createRequire(import.meta.url).resolve('typescript/bin/tsc'), '-p', 'bench/tsconfig.json');
process.exitCode =
  compiled === 0 ? run(process.cwd(), join(root, 'build/bench/bench/compare.js'), ...process.argv.slice(2)) : 2;
