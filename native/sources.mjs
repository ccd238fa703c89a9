// The one list of native sources, native/sources.json, for binding.gyp and for people.
//   node native/sources.mjs cpu      one path a line: engine + addon, as the gyp build needs them
//   node native/sources.mjs check    non-zero exit when the list and the disk differ
//   node native/sources.mjs update   rewrites the list from the disk
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const listPath = join(root, 'native', 'sources.json');

function filesUnder(folder, pattern) {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

/** The groups as they are on disk. */
export function sourcesOnDisk() {
  const native = filesUnder('native', /\.(cc|cu)$/);
  const isAddon = (file) => file.startsWith('native/addon/');
  const isCuda = (file) => file.endsWith('.cu');
  return {
    engine: native.filter((file) => !isAddon(file) && !isCuda(file)),
    cuda: native.filter(isCuda),
    addon: native.filter(isAddon),
    tests: filesUnder('test/native', /\.cc$/),
  };
}

export function listedSources() {
  return JSON.parse(readFileSync(listPath, 'utf8'));
}

function main(command) {
  if (command === 'cpu') {
    const { engine, addon } = listedSources();
    console.log([...engine, ...addon].join('\n'));
  } else if (command === 'update') {
    writeFileSync(listPath, `${JSON.stringify(sourcesOnDisk(), null, 2)}\n`);
  } else if (command === 'check') {
    if (JSON.stringify(listedSources()) !== JSON.stringify(sourcesOnDisk())) {
      console.error('native/sources.json differs from the disk; run: node native/sources.mjs update');
      process.exitCode = 1;
    }
  } else {
    console.error('usage: node native/sources.mjs cpu|check|update');
    process.exitCode = 2;
  }
}

if (process.argv[1] && fileURLToPath(import.meta.url) === process.argv[1]) main(process.argv[2]);
