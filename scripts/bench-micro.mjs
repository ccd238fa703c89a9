// npm run bench:micro [-- NAME]: compiles bench/micro and runs its suites, each in a process of its own.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = (...args) => {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};

const suites = readdirSync(join(root, 'bench/micro'))
  .map((file) => basename(file, '.ts'))
  .filter((name) => name !== 'suite' && (process.argv.length < 3 || process.argv.includes(name)));
if (suites.length === 0) throw new Error(`no suite ${process.argv.slice(2).join(' ')} in bench/micro`);
run(createRequire(import.meta.url).resolve('typescript/bin/tsc'), '-p', 'bench/tsconfig.json');
for (const name of suites) run(join(root, 'build/bench/bench/micro', `${name}.js`));
