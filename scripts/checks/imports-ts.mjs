// The import order of lib/: a file imports only from layers below its own.
import { posix } from 'node:path';
import { lineAt, listFiles, readText } from './files.mjs';

/** From the ground up; layers that share a step may not see each other. */
export const TYPESCRIPT_LAYERS = [
  ['types.ts', 'errors.ts'],
  ['random.ts'],
  ['native', 'text'],
  ['data'],
  ['tasks'],
  ['protocol'],
  ['eval'],
  ['train'],
  ['report', 'serve'],
  ['cli'],
  ['index.ts'],
];

const IMPORT = /(?:^|\n)\s*(?:import|export)\b[^'";]*?from\s*['"]([^'"]+)['"]|\bimport\s*\(?\s*['"]([^'"]+)['"]/g;
const LOADS_ADDON = /\bdlopen\b|\bcreateRequire\b|\.node['"`]/;

const layerOf = (path) => TYPESCRIPT_LAYERS.findIndex((layer) => layer.includes(path.split('/')[1]));

export function checkTypeScriptImports(root) {
  return listFiles(root)
    .filter((path) => path.startsWith('lib/') && path.endsWith('.ts'))
    .flatMap((path) => checkFile(path, readText(root, path)));
}

function checkFile(path, text) {
  const problems = [];
  if (layerOf(path) < 0) problems.push(`${path}: lib/${path.split('/')[1]} is in no layer`);
  if (!path.startsWith('lib/native/') && LOADS_ADDON.test(text))
    problems.push(`${path}: only lib/native loads the addon (dlopen, createRequire, .node)`);
  for (const match of text.matchAll(IMPORT)) {
    const target = match[1] ?? match[2];
    const where = `${path}:${lineAt(text, match.index + match[0].length)}`;
    if (target.startsWith('.')) problems.push(...checkEdge(path, where, target));
  }
  return problems;
}

function checkEdge(path, where, target) {
  if (!/\.(js|json)$/.test(target)) return [`${where}: relative import '${target}' lacks its .js suffix`];
  const resolved = posix.join(posix.dirname(path), target).replace(/\.js$/, '.ts');
  if (!resolved.startsWith('lib/')) return resolved === 'package.json' ? [] : [`${where}: '${target}' leaves lib/`];
  const [from, to] = [path, resolved].map((file) => file.split('/')[1]);
  if (from === to) return [];
  if (layerOf(resolved) >= layerOf(path)) return [`${where}: ${from} may not import ${to} (${resolved})`];
  if (to === 'native' && resolved !== 'lib/native/index.ts')
    return [`${where}: import lib/native through its index.ts, not ${resolved}`];
  return [];
}
