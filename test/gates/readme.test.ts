// The README's example is the one in examples/, which `npm run check` compiles, and its commands are the program's.
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { commands } from '../../lib/cli/program.js';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const readme = read('README.md');

test('the quick start is examples/rank.mjs', () => {
  const shown = readme.match(/```js\n([\s\S]*?)```/)?.[1];
  const file = read('examples/rank.mjs');
  expect(file.startsWith('// @ts-check\n')).toBe(true);
  expect(shown).toBe(file.replace(/^(\/\/.*\n)+/, ''));
});

test('the table of commands is the program', () => {
  const program = new Command();
  for (const register of commands) register(program, { signal: new AbortController().signal });
  const listed = [...readme.matchAll(/^\| `winnow ([a-z]+)/gm)].map(([, name]) => name);
  expect(listed.sort()).toEqual(program.commands.map((command) => command.name()).sort());
});
