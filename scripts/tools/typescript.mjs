// Compiles lib/ to dist/.
import { existsSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { root, run } from './process.mjs';
import { hashInputs, onceFor } from './stamp.mjs';

const require = createRequire(import.meta.url);
const outputs = ['dist/index.js', 'dist/cli/main.js'];

function compile() {
  // tsc believes its record of what it wrote, even where the files are gone.
  if (!outputs.every((output) => existsSync(join(root, output))))
    rmSync(join(root, 'dist', '.tsbuildinfo'), { force: true });
  run(process.execPath, [join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc')]);
}

/** Compiles unless nothing changed; returns whether it did. */
export function buildTypeScript() {
  return onceFor({
    stamp: 'dist/.stamp',
    hash: hashInputs(['lib', 'tsconfig.json', 'package.json']),
    outputs,
    step: compile,
  });
}
