// The include order of native/: a file includes only from layers below its own.
import { posix } from 'node:path';
import { lineAt, listFiles, readText } from './files.mjs';

/** From the ground up; layers that share a step may not see each other. */
export const CPP_LAYERS = [['base'], ['tensor'], ['backend'], ['model', 'io', 'comm'], ['sample', 'train'], ['addon']];

/** The one edge between peers: the model reads its weights from files. Only its .cc files do; model.h forward-declares. */
const ALLOWED_PEER = { from: /^native\/model\/[^/]+\.cc$/, to: 'native/io/safetensors.h' };

const NODE_HEADER = /^(napi\.h|node_api\.h|js_native_api\.h|node\.h|uv\.h|v8.*\.h)$/;
const INCLUDE = /^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]/gm;

const roomOf = (path) => path.split('/')[1];
const layerOf = (path) => CPP_LAYERS.findIndex((layer) => layer.includes(roomOf(path)));

export function checkCppIncludes(root) {
  const files = listFiles(root).filter((path) => path.startsWith('native/'));
  const known = new Set(files);
  return files
    .filter((path) => /\.(h|cc|inc|cu|cuh)$/.test(path))
    .flatMap((path) => checkFile(path, readText(root, path), known));
}

function checkFile(path, text, known) {
  const problems = layerOf(path) < 0 ? [`${path}: native/${roomOf(path)} is in no layer`] : [];
  for (const match of text.matchAll(INCLUDE)) {
    const [, quote, target] = match;
    const where = `${path}:${lineAt(text, match.index)}`;
    if (NODE_HEADER.test(target)) {
      if (roomOf(path) !== 'addon') problems.push(`${where}: only native/addon includes ${target}`);
    } else if (quote === '"') problems.push(...checkEdge(path, where, target, known));
  }
  return problems;
}

function checkEdge(path, where, target, known) {
  const resolved = [`native/${target}`, posix.join(posix.dirname(path), target)].find((file) => known.has(file));
  if (!resolved) return [`${where}: "${target}" is no file under native/`];
  if (ALLOWED_PEER.from.test(path) && resolved === ALLOWED_PEER.to) return [];
  if (roomOf(resolved) !== roomOf(path))
    return layerOf(resolved) < layerOf(path)
      ? checkBackendDoor(path, where, resolved)
      : [`${where}: ${roomOf(path)} may not include ${roomOf(resolved)} (${resolved})`];
  // Inside the backend, implementations do not know one another.
  const [own, other] = [path, resolved].map((file) => file.match(/^native\/backend\/(\w+)\//)?.[1]);
  return own && other && own !== other ? [`${where}: backend/${own} may not include backend/${other}`] : [];
}

/** Above the seam, only the headers that lie directly in backend/ are visible. */
function checkBackendDoor(path, where, resolved) {
  const hidden = /^native\/backend\/\w+\//.test(resolved);
  return hidden ? [`${where}: ${roomOf(path)} may not look behind the seam (${resolved})`] : [];
}
