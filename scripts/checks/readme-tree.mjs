// The tree in README.md against the disk: every folder and every top-level file, each with its purpose.
import { posix } from 'node:path';
import { listFiles, readText } from './files.mjs';

/** Folders whose insides the tree need not show. */
const CLOSED = ['test/fixtures'];

export function checkReadmeTree(root) {
  const block = readText(root, 'README.md').match(/<!-- tree -->\s*```\w*\n([\s\S]*?)```/);
  if (!block) return ['README.md: no ```-block after <!-- tree -->'];
  const { listed, problems } = parseTree(block[1]);
  const onDisk = pathsToShow(listFiles(root));
  for (const path of onDisk) if (!listed.has(path)) problems.push(`README.md: the tree lacks ${path}`);
  for (const path of listed)
    if (!onDisk.has(path)) problems.push(`README.md: the tree shows ${path}, which is not there`);
  return problems;
}

/** Lines `name/   purpose`, two spaces of indent a level; a folder ends in a slash. */
function parseTree(text) {
  const listed = new Set();
  const problems = [];
  const parents = [];
  for (const line of text.split('\n').filter((l) => l.trim())) {
    const [, indent, name, purpose] = line.match(/^( *)(\S+)(?: {2,}(\S.*))?$/) ?? [];
    if (!name) {
      problems.push(`README.md: cannot read the tree line '${line}'`);
      continue;
    }
    const depth = indent.length / 2;
    if (!purpose) problems.push(`README.md: ${name} has no purpose in the tree`);
    const path = `${parents.slice(0, depth).join('')}${name}`;
    parents.length = depth;
    parents.push(name);
    if (listed.has(path)) problems.push(`README.md: ${path} is twice in the tree`);
    listed.add(path);
  }
  return { listed, problems };
}

function pathsToShow(files) {
  const shown = new Set();
  for (const file of files) {
    if (!file.includes('/') && !file.startsWith('.')) shown.add(file);
    for (let folder = posix.dirname(file); folder !== '.'; folder = posix.dirname(folder)) {
      const hidden = folder.startsWith('.') || CLOSED.some((closed) => folder.startsWith(`${closed}/`));
      if (!hidden) shown.add(`${folder}/`);
    }
  }
  return shown;
}
