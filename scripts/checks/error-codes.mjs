// Every error code in the sources stands in docs/errors.md, and none that is gone.
import { listFiles, readText } from './files.mjs';

const DOCUMENT = 'docs/errors.md';
const USE = /["'[](ERR_[A-Z0-9_]+)["'\]]/g;
const ENTRY = /^\| `(ERR_[A-Z0-9_]+)` \| \S/gm;

export function checkErrorCodes(root) {
  const used = new Map();
  for (const path of listFiles(root).filter((file) => /^(native|lib|bin)\/.*\.(ts|js|h|cc|inc|cu)$/.test(file)))
    for (const [, code] of readText(root, path).matchAll(USE)) if (!used.has(code)) used.set(code, path);
  const documented = new Set([...readText(root, DOCUMENT).matchAll(ENTRY)].map(([, code]) => code));
  return [
    ...[...used]
      .filter(([code]) => !documented.has(code))
      .map(([code, path]) => `${path}: ${code} is not in ${DOCUMENT}`),
    ...[...documented].filter((code) => !used.has(code)).map((code) => `${DOCUMENT}: no source uses ${code}`),
  ];
}
