// native/sources.json, the one list that both builds read, against the disk.
import { listFiles, readText } from './files.mjs';

const LIST = 'native/sources.json';

export function checkSources(root) {
  const listed = new Set(Object.values(JSON.parse(readText(root, LIST))).flat());
  const onDisk = new Set(listFiles(root).filter((path) => /^(native|test\/native)\/.*\.(cc|cu)$/.test(path)));
  return [
    ...[...onDisk]
      .filter((path) => !listed.has(path))
      .map((path) => `${LIST} lacks ${path}; node native/sources.mjs update`),
    ...[...listed].filter((path) => !onDisk.has(path)).map((path) => `${LIST} lists ${path}, which is not there`),
  ];
}
