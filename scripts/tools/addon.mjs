// Builds the addon: cmake-js (primary) or node-gyp.
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { jobs, root, run, ToolError, which } from './process.mjs';
import { hashInputs, onceFor } from './stamp.mjs';

const require = createRequire(import.meta.url);
const cmakeFolder = 'build/cmake-release';

export const addonInputs = ['native', 'CMakeLists.txt', 'binding.gyp', 'package.json', 'test/native/CMakeLists.txt'];

/** Where the addon of a builder ends up; `build/native/winnow.node` is the one the library loads. */
export const addonPath = { cmake: 'build/native/winnow.node', gyp: 'build/native-gyp/winnow.node' };

export const hasCmake = () => which('cmake') !== undefined;

function install(from, to) {
  // Renamed into place: a running process keeps the file it has mapped.
  mkdirSync(dirname(join(root, to)), { recursive: true });
  const temporary = join(root, `${to}.${process.pid}`);
  copyFileSync(from, temporary);
  renameSync(temporary, join(root, to));
}

/** A build folder configured for another place cannot be used again. */
function dropForeignCache() {
  const cache = join(root, cmakeFolder, 'CMakeCache.txt');
  if (!existsSync(cache)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, 'utf8'))?.[1];
  if (home !== resolve(root)) rmSync(join(root, cmakeFolder), { recursive: true, force: true });
}

function buildWithCmake() {
  dropForeignCache();
  const cmakeJs = join(dirname(require.resolve('cmake-js/package.json')), 'bin', 'cmake-js');
  const common = ['-O', cmakeFolder, '-B', 'Release', '-l', 'warn'];
  const cuda = process.env.WINNOW_CUDA ?? 'OFF';
  run(process.execPath, [cmakeJs, 'configure', ...common, `--CDWINNOW_CUDA=${cuda}`], { quiet: true });
  run(process.execPath, [cmakeJs, 'build', ...common, '-T', 'winnow_addon', '-p', String(jobs)]);
  install(join(root, cmakeFolder, 'Release', 'winnow.node'), addonPath.cmake);
  if (cuda !== 'ON') return;
  run(process.execPath, [cmakeJs, 'build', ...common, '-T', 'winnow_cuda', '-p', String(jobs)]);
  install(join(root, cmakeFolder, 'test', 'native', 'winnow_cuda.so'), 'build/native/winnow_cuda.so');
}

/** Node's own headers beside its binary spare node-gyp a download. */
function nodedirArguments() {
  const prefix = resolve(process.execPath, '..', '..');
  if (existsSync(join(prefix, 'include', 'node', 'common.gypi'))) return [`--nodedir=${prefix}`];
  console.error(`note: no Node.js headers under ${prefix}/include/node; node-gyp uses its own copy or fetches one`);
  return [];
}

function buildWithGyp() {
  // node-gyp always works in ./build; without `clean` it leaves its neighbours there alone.
  const gyp = join(dirname(require.resolve('node-gyp/package.json')), 'bin', 'node-gyp.js');
  const common = ['--release', '--loglevel=warn', ...nodedirArguments()];
  run(process.execPath, [gyp, 'configure', ...common], { quiet: true });
  run(process.execPath, [gyp, 'build', `--jobs=${jobs}`, ...common], { quiet: true });
  install(join(root, 'build', 'Release', 'winnow.node'), addonPath.gyp);
}

/** Builds with `builder` unless nothing changed; returns whether it built. */
export async function buildAddon(builder) {
  if (builder === 'cmake' && !hasCmake()) throw new ToolError('cmake was not found; use --builder gyp');
  const output = addonPath[builder];
  return onceFor({
    stamp: `${output}.stamp`,
    hash: hashInputs(
      addonInputs,
      `${builder} ${process.platform} ${process.arch} ${root} ${process.env.WINNOW_CUDA ?? ''}`,
    ),
    outputs: [output],
    step: () => {
      console.error(`building the native addon with ${builder === 'cmake' ? 'CMake' : 'node-gyp'} (${jobs} jobs)`);
      if (builder === 'cmake') buildWithCmake();
      else buildWithGyp();
    },
  });
}
