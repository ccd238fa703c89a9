// The files of a tree: those git would commit, or, outside a git checkout, all but build outputs.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const IGNORED = new Set(['.git', 'node_modules', 'dist', 'build', 'runs', '.cache', '.venv']);

/** Paths relative to `root`, with forward slashes, sorted. */
export function listFiles(root) {
  if (existsSync(join(root, '.git'))) {
    const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    return [...new Set(listed.split('\0'))].filter((path) => path && existsSync(join(root, path))).sort();
  }
  return walk(root, '').sort();
}

function walk(root, folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (IGNORED.has(entry.name)) return [];
    const path = folder ? `${folder}/${entry.name}` : entry.name;
    return entry.isDirectory() ? walk(root, path) : [path];
  });
}

export const readText = (root, path) => readFileSync(join(root, path), 'utf8');

export const isCpp = (path) => /^(native|test\/native|bench\/native)\/.*\.(h|cc|inc|cu|cuh)$/.test(path);

export const isScript = (path) => /\.(ts|mts|js|mjs)$/.test(path);

/** 1-based line of a character offset. */
export const lineAt = (text, offset) => text.slice(0, offset).split('\n').length;
