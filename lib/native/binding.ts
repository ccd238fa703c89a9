import { existsSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { WinnowError } from '../errors.js';
import type { Addon } from './addon-types.js';

// The same from lib/native and from dist/native.
const packageRoot = fileURLToPath(new URL('../../', import.meta.url));
const require = createRequire(import.meta.url);

let loaded: Addon | undefined;

/** Where an addon is looked for, in order. `WINNOW_NATIVE` names one file and excludes the others. */
function candidatePaths(): string[] {
  const chosen = process.env.WINNOW_NATIVE;
  if (chosen) return [chosen];
  return [`${packageRoot}build/native/winnow.node`, `${packageRoot}build/native-gyp/winnow.node`];
}

function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(`${packageRoot}package.json`, 'utf8')) as { version: string };
  return manifest.version;
}

function loadFrom(path: string): Addon {
  const addon = require(path) as Addon;
  const expected = packageVersion();
  const { version } = addon.buildInfo();
  if (version !== expected) {
    throw new WinnowError('ERR_NATIVE_VERSION', `the native addon ${path} belongs to another version`, {
      expected,
      received: version,
      hint: 'run `npm run build`',
    });
  }
  return addon;
}

/**
 * The native addon, loaded on first use.
 *
 * @throws WinnowError ERR_NATIVE_NOT_FOUND with every path tried; ERR_NATIVE_LOAD when a file is there
 *   but cannot be loaded; ERR_NATIVE_VERSION when it was built from another version of the package.
 */
export function loadAddon(): Addon {
  if (loaded) return loaded;
  const paths = candidatePaths();
  const path = paths.find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new WinnowError('ERR_NATIVE_NOT_FOUND', 'the native addon was not found', {
      expected: `one of ${paths.join(', ')}`,
      received: 'no such file',
      hint: `run \`npm run build\` in ${packageRoot}`,
    });
  }
  try {
    loaded = loadFrom(path);
  } catch (cause) {
    if (cause instanceof WinnowError) throw cause;
    const received = cause instanceof Error ? cause.message : String(cause);
    throw new WinnowError('ERR_NATIVE_LOAD', `the native addon ${path} cannot be loaded`, {
      received,
      hint: 'run `npm run build` on this machine',
      cause,
    });
  }
  return loaded;
}

/** Size of the addon's file; 0 where there is none. */
export function addonFileBytes(): number {
  const path = candidatePaths().find((candidate) => existsSync(candidate));
  return path === undefined ? 0 : statSync(path).size;
}
