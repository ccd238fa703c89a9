// Every gate of `npm run check` must be able to fail: each gets a tree that breaks it and one that does not.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { checkAddonTypes } from '../../scripts/checks/addon-types.mjs';
import { checkBiome } from '../../scripts/checks/biome.mjs';
import { checkClangFormat } from '../../scripts/checks/clang-format.mjs';
import { blankNonCode, cppFunctions } from '../../scripts/checks/cpp-functions.mjs';
import { checkErrorCodes } from '../../scripts/checks/error-codes.mjs';
import { checkCppIncludes } from '../../scripts/checks/imports-cpp.mjs';
import { checkTypeScriptImports } from '../../scripts/checks/imports-ts.mjs';
import { checkReadmeTree } from '../../scripts/checks/readme-tree.mjs';
import { checkSizes } from '../../scripts/checks/sizes.mjs';
import { checkSources } from '../../scripts/checks/sources.mjs';
import { checkTypes } from '../../scripts/checks/types.mjs';
import { checkWords } from '../../scripts/checks/words.mjs';

const made: string[] = [];

function tree(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'winnow-gate-'));
  made.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

afterEach(() => {
  for (const root of made.splice(0)) rmSync(root, { recursive: true });
});

const repository = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('format and lint', () => {
  const biome = JSON.stringify({ ...JSON.parse(repository('biome.json')), $schema: undefined });

  test('Biome refuses a badly formatted file and an unused variable', () => {
    const good = { 'lib/a.ts': 'export const a = 1;\n' };
    expect(checkBiome(tree({ 'biome.json': `${biome}\n`, ...good })).join('\n')).not.toContain('lib/a.ts');
    expect(checkBiome(tree({ 'biome.json': biome, 'lib/a.ts': 'export  const a="1"\n' })).join('\n')).toMatch(
      /lib\/a\.ts format/,
    );
    const unused = 'export function f(): void {\n  const unused = 1;\n}\n';
    expect(checkBiome(tree({ 'biome.json': biome, 'lib/a.ts': unused })).join('\n')).toMatch(/noUnusedVariables/);
  });

  test('clang-format refuses and mends a badly formatted file, .inc files too', () => {
    const style = { '.clang-format': repository('.clang-format') };
    const good = 'int f() { return 1; }\n';
    expect(checkClangFormat(tree({ ...style, 'native/base/a.cc': good }))).toEqual([]);
    const root = tree({ ...style, 'native/base/a.cc': 'int f( ){return 1;}\n', 'native/b.inc': 'int  g;\n' });
    expect(checkClangFormat(root)).toEqual([
      expect.stringMatching(/^native\/b\.inc:1: not formatted/),
      expect.stringMatching(/^native\/base\/a\.cc:1: not formatted/),
    ]);
    expect(checkClangFormat(root, { write: true })).toEqual([]);
    expect(readFileSync(join(root, 'native/base/a.cc'), 'utf8')).toBe(good);
    expect(checkClangFormat(root)).toEqual([]);
  });
});

test('types: tsc refuses a wrong type', () => {
  const tsconfig = JSON.stringify({ compilerOptions: { strict: true, types: [] }, include: ['lib'] });
  expect(checkTypes(tree({ 'tsconfig.json': tsconfig, 'lib/a.ts': 'export const a: number = 1;\n' }))).toEqual([]);
  expect(checkTypes(tree({ 'tsconfig.json': tsconfig, 'lib/a.ts': "export const a: number = '1';\n" }))).toEqual([
    expect.stringContaining('TS2322'),
  ]);
});

test('types of the addon: a failing comparison fails the gate', () => {
  const comparison = (value: number): string =>
    `import { expect, test } from 'vitest';\ntest('compares', () => expect(${value}).toBe(1));\n`;
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const built = (value: number) => {
    const made = tree({ 'build/native/winnow.node': '', 'types.test.ts': comparison(value) });
    symlinkSync(join(root, 'node_modules'), join(made, 'node_modules'));
    return checkAddonTypes(made, { file: 'types.test.ts' });
  };
  expect(built(1)).toEqual([]);
  expect(built(2).join('\n')).toContain('expected 2 to be 1');
});

describe('import order of lib/', () => {
  const problems = (path: string, text: string): string[] =>
    checkTypeScriptImports(tree({ 'lib/errors.ts': 'export {};\n', [path]: text }));

  test.each([
    ['lib/data/a.ts', "import { b } from '../text/b.js';\n"],
    ['lib/cli/main.ts', "import {\n  b,\n} from '../native/index.js';\n"],
    ['lib/index.ts', "export * from './train/grpo.js';\n"],
    ['lib/text/a.ts', "import { readFileSync } from 'node:fs';\nimport { x } from './x.js';\n"],
  ])('%s may', (path, text) => {
    expect(problems(path, text)).toEqual([]);
  });

  test.each([
    ['upwards', 'lib/data/a.ts', "import { b } from '../tasks/b.js';\n", 'data may not import tasks'],
    ['a peer', 'lib/eval/a.ts', "import type { b } from '../train/b.js';\n", 'eval may not import train'],
    ['by export', 'lib/text/a.ts', "export { b } from '../cli/b.js';\n", 'text may not import cli'],
    ['dynamically', 'lib/text/a.ts', "const b = await import('../cli/b.js');\n", 'text may not import cli'],
    ['the root', 'lib/cli/a.ts', "import * as all from '../index.js';\n", 'cli may not import index.ts'],
    ['outside', 'lib/data/a.ts', "import x from '../../test/x.js';\n", 'leaves lib/'],
    ['without suffix', 'lib/data/a.ts', "import x from './x';\n", 'lacks its .js suffix'],
    ['past the door', 'lib/train/a.ts', "import type { A } from '../native/addon-types.js';\n", 'through its index.ts'],
    ['the addon', 'lib/train/a.ts', "const addon = load('./winnow.node');\n", 'only lib/native loads'],
    ['from no layer', 'lib/utilities/a.ts', 'export {};\n', 'is in no layer'],
  ])('refuses an import %s', (_, path, text, problem) => {
    expect(problems(path, text)).toEqual([expect.stringContaining(problem)]);
  });
});

describe('include order of native/', () => {
  const headers = Object.fromEntries(
    ['base/error', 'tensor/view', 'backend/ops', 'model/model', 'io/safetensors', 'train/trainer', 'backend/cpu/simd']
      .concat('backend/reference/loops', 'addon/setup')
      .map((name) => [`native/${name}.h`, '#pragma once\n']),
  );
  const problems = (path: string, text: string): string[] => checkCppIncludes(tree({ ...headers, [path]: text }));

  test.each([
    ['native/tensor/buffer.cc', '#include <vector>\n#include "base/error.h"\n'],
    ['native/model/model.cc', '#include "io/safetensors.h"\n'],
    ['native/backend/cpu/norm.cc', '#include "backend/ops.h"\n#include "backend/cpu/simd.h"\n'],
    ['native/backend/registry.cc', '#include "backend/cpu/simd.h"\n'],
    ['native/addon/addon.cc', '#include <napi.h>\n#include "train/trainer.h"\n#include "setup.h"\n'],
  ])('%s may', (path, text) => {
    expect(problems(path, text)).toEqual([]);
  });

  test.each([
    ['upwards', 'native/base/a.cc', '#include "tensor/view.h"\n', 'base may not include tensor'],
    ['a peer', 'native/io/a.cc', '#include "model/model.h"\n', 'io may not include model'],
    ['the allowed peer from a header', 'native/model/a.h', '#include "io/safetensors.h"\n', 'model may not include io'],
    ['Node', 'native/train/a.cc', '#  include <napi.h>\n', 'only native/addon includes napi.h'],
    ['another backend', 'native/backend/cpu/a.cc', '#include "backend/reference/loops.h"\n', 'backend/cpu may not'],
    ['behind the seam', 'native/model/a.cc', '#include "backend/cpu/simd.h"\n', 'may not look behind the seam'],
    ['what is not there', 'native/base/a.cc', '#include "base/gone.h"\n', 'is no file under native/'],
    ['from no layer', 'native/misc/a.cc', '#include <vector>\n', 'is in no layer'],
  ])('refuses to include %s', (_, path, text, problem) => {
    expect(problems(path, text)).toEqual([expect.stringContaining(problem)]);
  });
});

describe('README tree', () => {
  const files = { 'package.json': '{}\n', 'lib/text/a.ts': '\n', 'test/fixtures/models/x.json': '{}\n' };
  const readme = (lines: string): string => `# x\n\n<!-- tree -->\n\`\`\`text\n${lines}\`\`\`\n`;
  const lines = [
    'README.md      this page',
    'package.json   scripts',
    'lib/           the library',
    '  text/          words',
    'test/          tests',
    '  fixtures/      data',
  ];
  const problems = (of: readonly string[]): string[] =>
    checkReadmeTree(tree({ ...files, 'README.md': readme(of.map((line) => `${line}\n`).join('')) }));

  test('passes when it is the disk', () => {
    expect(problems(lines)).toEqual([]);
  });

  test('refuses a missing folder, a folder that is gone, a line without purpose, a line twice, no tree', () => {
    expect(problems(lines.filter((line) => !line.includes('text/')))).toEqual([
      expect.stringContaining('lacks lib/text/'),
    ]);
    expect(problems([...lines, '  old/           gone'])).toEqual([expect.stringContaining('test/old/, which is not')]);
    expect(problems(lines.map((line) => line.replace(/ +words/, '')))).toEqual([expect.stringContaining('no purpose')]);
    expect(problems([...lines, '  fixtures/      data'])).toEqual([expect.stringContaining('twice')]);
    expect(checkReadmeTree(tree({ 'README.md': '# x\n' }))).toEqual([expect.stringContaining('no ```-block')]);
  });
});

describe('sizes', () => {
  const statements = (count: number): string => '  x += 1;\n'.repeat(count);
  const exceptions = 'scripts/checks/size-exceptions.json';

  test('refuses a long file and long functions in both languages, and a reason makes them pass', () => {
    const files = {
      'lib/long.ts': 'export const a = 1;\n'.repeat(301),
      'lib/function.ts': `export function grown(x: number): void {\n${statements(59)}}\n`,
      'lib/fits.ts': `export function fits(x: number): void {\n${statements(58)}}\n`,
      'native/base/a.cc': `void Thing::grown(int x) const {\n${statements(59)}}\nint fits() { return 1; }\n`,
      'scripts/tool.py': 'a = 1\n'.repeat(301),
    };
    const found = ['lib/function.ts:grown', 'lib/long.ts', 'native/base/a.cc:Thing::grown', 'scripts/tool.py'];
    expect(checkSizes(tree(files)).map((problem) => problem.replace(/: \d+ lines.*/, ''))).toEqual(found);
    const reasons = JSON.stringify(Object.fromEntries(found.map((key) => [key, 'one table'])));
    expect(checkSizes(tree({ ...files, [exceptions]: reasons }))).toEqual([]);
  });

  test('refuses a reason that is no longer needed', () => {
    const root = tree({ 'lib/a.ts': '\n', [exceptions]: '{"lib/a.ts": "was long"}' });
    expect(checkSizes(root)).toEqual([expect.stringContaining('no longer too long')]);
  });

  test('a describe() block is a chapter, its tests are functions', () => {
    const chapter = `describe('x', () => {\n${"  test('y', () => {});\n".repeat(70)}});\n`;
    expect(checkSizes(tree({ 'test/a.test.ts': chapter }))).toEqual([]);
    const grown = `test('x', () => {\n${'  f();\n'.repeat(70)}});\n`;
    expect(checkSizes(tree({ 'test/a.test.ts': grown }))).toEqual([expect.stringContaining('test/a.test.ts:')]);
  });

  test('finds the functions of C++', () => {
    const text = [
      'namespace winnow {',
      '// void comment() {',
      'template <typename T>',
      'static inline T first(T a, const std::vector<int>& b = {}) {',
      '  auto lambda = [&](int i) { return "}"; };',
      '  if (a) {',
      '  }',
      '}',
      'struct Point {',
      '  explicit Point(int a) : x(a) {}',
      '  bool operator==(const Point& other) const { return true; }',
      '  int x = 0;',
      '};',
      '#define MACRO() {',
      'constexpr int kTable[] = {1, 2, 3};',
      '}  // namespace winnow',
    ].join('\n');
    expect(cppFunctions(text).map(({ name }) => name)).toEqual(['first', 'Point', 'operator==']);
    expect(cppFunctions(text)[0]?.lines).toBe(6);
    expect(blankNonCode('int a; // {\n"}"').split('\n')).toHaveLength(2);
  });
});

test('error codes: refuses one that is not documented and one that is gone', () => {
  const document = (codes: readonly string[]): string =>
    codes.map((code) => `| \`${code}\` | what it means |\n`).join('');
  const files = {
    'lib/a.ts': "throw new WinnowError('ERR_ONE', '');\n",
    'native/a.cc': 'throw Error("ERR_TWO", "");\n',
  };
  expect(checkErrorCodes(tree({ ...files, 'docs/errors.md': document(['ERR_ONE', 'ERR_TWO']) }))).toEqual([]);
  expect(checkErrorCodes(tree({ ...files, 'docs/errors.md': document(['ERR_ONE', 'ERR_OLD']) }))).toEqual([
    'native/a.cc: ERR_TWO is not in docs/errors.md',
    'docs/errors.md: no source uses ERR_OLD',
  ]);
});

test('list of native sources: refuses a file that is not listed and one that is gone', () => {
  const list = (files: readonly string[]): string => JSON.stringify({ engine: files, tests: ['test/native/t.cc'] });
  const files = { 'native/base/a.cc': '', 'native/base/a.h': '', 'test/native/t.cc': '' };
  expect(checkSources(tree({ ...files, 'native/sources.json': list(['native/base/a.cc']) }))).toEqual([]);
  expect(checkSources(tree({ ...files, 'native/sources.json': list(['native/base/b.cc']) }))).toEqual([
    expect.stringContaining('lacks native/base/a.cc'),
    expect.stringContaining('lists native/base/b.cc'),
  ]);
});

describe('words', () => {
  const problems = (text: string, registryUrl?: string): string[] =>
    checkWords(tree({ 'lib/a.ts': `${text}\n` }), { registryUrl: registryUrl ?? '' });

  test('passes ordinary text', () => {
    expect(problems("const path = '../shared/data'; // see ./home/page.html and https://example.org/home/x")).toEqual(
      [],
    );
  });

  test.each([
    ['unfinished work', `// TO${'DO'}: later`],
    ['unfinished work', `// FIX${'ME'}`],
    ['a path of one machine', `const path = '/ho${'me'}/someone/models';`],
    ['a path of one machine', `const path = "/Us${'ers'}/someone";`],
    ['the host of a package registry', `https://regis${'try'}.example.org/pack`],
    ['the host of a package registry', `"resol${'ved'}": "https://example.org/pack.tgz"`],
  ])('refuses %s', (what, text) => {
    expect(problems(text)).toEqual([expect.stringContaining(`lib/a.ts:1: ${what}`)]);
  });

  test("refuses this machine's own registry", () => {
    expect(problems('see packages.example.net', 'http://packages.example.net:8080/npm/')).toHaveLength(1);
  });
});
