// Files and functions stay within what a reader holds; what must be longer says why in size-exceptions.json.
import ts from 'typescript';
import { cppFunctions } from './cpp-functions.mjs';
import { isCpp, isScript, listFiles, readText } from './files.mjs';

export const MAX_FILE_LINES = 300;
export const MAX_FUNCTION_LINES = 60;

const EXCEPTIONS = 'scripts/checks/size-exceptions.json';

/** Every file and function over its limit, as {key, lines}; a function's key is path:name. */
export function findLarge(root) {
  const large = [];
  for (const path of listFiles(root)) {
    if (!isCpp(path) && !isScript(path) && !path.endsWith('.py')) continue;
    const text = readText(root, path);
    const lines = text.split('\n').length - 1;
    if (lines > MAX_FILE_LINES) large.push({ key: path, lines });
    const functions = isCpp(path) ? cppFunctions(text) : isScript(path) ? scriptFunctions(path, text) : [];
    for (const { name, lines: length } of functions)
      if (length > MAX_FUNCTION_LINES) large.push({ key: `${path}:${name}`, lines: length });
  }
  return large;
}

export function checkSizes(root) {
  const known = listFiles(root).includes(EXCEPTIONS) ? JSON.parse(readText(root, EXCEPTIONS)) : {};
  const large = findLarge(root);
  const problems = large
    .filter(({ key }) => !known[key])
    .map(({ key, lines }) => `${key}: ${lines} lines; split it, or give the reason in ${EXCEPTIONS}`);
  const keys = new Set(large.map(({ key }) => key));
  for (const key of Object.keys(known))
    if (!keys.has(key)) problems.push(`${EXCEPTIONS}: ${key} is no longer too long; delete its line`);
  return problems;
}

/** Functions of a TypeScript or JavaScript file; the callback of a test's describe() is a chapter, not a function. */
function scriptFunctions(path, text) {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found = [];
  const lineOf = (position) => source.getLineAndCharacterOfPosition(position).line;
  const visit = (node) => {
    if (ts.isFunctionLike(node) && node.body && !isChapter(node))
      found.push({ name: nameOf(node, source), lines: lineOf(node.end) - lineOf(node.getStart(source)) + 1 });
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const isChapter = (node) => ts.isCallExpression(node.parent) && /^describe\b/.test(node.parent.expression.getText());

function nameOf(node, source) {
  const named = node.name ?? node.parent?.name;
  return named ? named.getText(source) : `line ${source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1}`;
}
