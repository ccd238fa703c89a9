// Makes a checkout ready to run: packages, addon, dist. Plain Node, no packages of its own.
//   node scripts/ensure.mjs           for `npm run demo` and friends
//   node scripts/ensure.mjs --test    also the gyp addon and the C++ tests, for `npm test`
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildAddon, hasCmake } from './tools/addon.mjs';
import { buildReleaseTests } from './tools/native-tests.mjs';
import { root, run, runMain, ToolError } from './tools/process.mjs';
import { withBuildLock } from './tools/stamp.mjs';
import { buildTypeScript } from './tools/typescript.mjs';

const oldestNode = [20, 19];

function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1])) return;
  throw new ToolError(`Node.js ${oldestNode.join('.')} or later is needed, this is ${process.versions.node}`);
}

function packagesAreCurrent(lock, stamp, hash) {
  if (existsSync(stamp)) return readFileSync(stamp, 'utf8') === hash;
  const installed = join(root, 'node_modules', '.package-lock.json');
  return existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs;
}

function ensurePackages() {
  const lock = join(root, 'package-lock.json');
  const stamp = join(root, 'node_modules', '.winnow-lock');
  const hash = createHash('sha256').update(readFileSync(lock)).digest('hex');
  if (!packagesAreCurrent(lock, stamp, hash)) {
    console.error('installing packages (npm ci)');
    const options = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
    const npm = process.env.npm_execpath;
    if (npm) run(process.execPath, [npm, ...options]);
    else run('npm', options);
  }
  writeFileSync(stamp, hash);
}

await runMain(async (args) => {
  requireNode();
  await withBuildLock(async () => {
    ensurePackages();
    const withCmake = hasCmake();
    if (!withCmake) console.error('note: cmake was not found; building with gyp, and the C++ tests are skipped');
    await buildAddon(withCmake ? 'cmake' : 'gyp');
    await buildTypeScript();
    if (!args.includes('--test')) return;
    await buildAddon('gyp');
    if (withCmake) await buildReleaseTests();
  });
});
