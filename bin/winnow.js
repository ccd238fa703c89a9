#!/usr/bin/env node
// Starts the command line compiled from lib/cli/main.ts.
import { existsSync } from 'node:fs';

const main = new URL('../dist/cli/main.js', import.meta.url);
if (!existsSync(main)) {
  console.error('error[ERR_NOT_BUILT]: dist/cli/main.js is missing, hint: run `npm run build` in the checkout');
  process.exitCode = 1;
} else {
  await import(main.href);
}
