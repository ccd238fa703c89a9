// npm run check: every gate over this checkout. `--write` lets the two formatters mend what they can.
import { fileURLToPath } from 'node:url';
import { checkAddonTypes } from './checks/addon-types.mjs';
import { checkBiome } from './checks/biome.mjs';
import { checkClangFormat } from './checks/clang-format.mjs';
import { checkErrorCodes } from './checks/error-codes.mjs';
import { checkCppIncludes } from './checks/imports-cpp.mjs';
import { checkTypeScriptImports } from './checks/imports-ts.mjs';
import { checkReadmeTree } from './checks/readme-tree.mjs';
import { checkSizes } from './checks/sizes.mjs';
import { checkSources } from './checks/sources.mjs';
import { checkTypes } from './checks/types.mjs';
import { checkWords } from './checks/words.mjs';

/** Each gate takes a folder and returns its problems, one a line; test/gates shows that each can fail. */
const GATES = {
  'format and lint of TypeScript, JavaScript, JSON': checkBiome,
  'format of C++': checkClangFormat,
  'types of TypeScript': checkTypes,
  'types of the addon = its live exports': checkAddonTypes,
  'import order of lib/': checkTypeScriptImports,
  'include order of native/': checkCppIncludes,
  'list of native sources = disk': checkSources,
  'README tree = disk': checkReadmeTree,
  'docs/errors.md = error codes': checkErrorCodes,
  'sizes of files and functions': checkSizes,
  'words, paths, hosts': checkWords,
};

const root = fileURLToPath(new URL('..', import.meta.url));
const write = process.argv.includes('--write');
let failed = 0;
for (const [name, gate] of Object.entries(GATES)) {
  const started = performance.now();
  const problems = gate(root, { write });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${problems.length === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`);
  for (const problem of problems) console.log(`       ${problem}`);
  if (problems.length > 0) failed++;
}
console.log(failed === 0 ? 'check: all gates passed' : `check: ${failed} of ${Object.keys(GATES).length} gates failed`);
process.exitCode = failed === 0 ? 0 : 1;
