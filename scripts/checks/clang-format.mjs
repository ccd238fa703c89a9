// Format of C++, by clang-format (compiled to WebAssembly) with the .clang-format of the tree.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from '@wasm-fmt/clang-format';
import { isCpp, lineAt, listFiles, readText } from './files.mjs';

export function checkClangFormat(root, { write = false } = {}) {
  const style = readText(root, '.clang-format');
  return listFiles(root)
    .filter(isCpp)
    .flatMap((path) => {
      const source = readText(root, path);
      // An .inc file is C++ too; the name tells clang-format so.
      const formatted = format(source, path.replace(/\.(inc|cuh?)$/, '.cc'), style);
      if (formatted === source) return [];
      if (write) {
        writeFileSync(join(root, path), formatted);
        return [];
      }
      let at = 0;
      while (source[at] === formatted[at]) at++;
      return [`${path}:${lineAt(source, at)}: not formatted; npm run check -- --write`];
    });
}
