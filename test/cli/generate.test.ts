import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { fixtureModels, readGolden } from '../golden/support.js';
import { makeFolder, makeModelFolder, readLines, removeFolder, startWinnow, winnow, writeLines } from './support.js';

const folder = makeFolder();
afterAll(() => removeFolder(folder));

interface Generated {
  readonly completions: readonly {
    readonly tokens: readonly number[];
    readonly text: string | null;
    readonly logprobs: readonly number[];
    readonly stop: string;
  }[];
}

const model = join(fixtureModels, 'qwen2-tied');

function generate(lines: readonly unknown[], ...args: string[]): Generated[] {
  const input = writeLines(join(folder, 'prompts.jsonl'), lines);
  const output = join(folder, 'completions.jsonl');
  const run = winnow(['generate', '--model', model, '--input', input, '--output', output, ...args]);
  if (run.status !== 0) throw new Error(run.stderr);
  return readLines<Generated>(output);
}

test('--temperature 0 gives the golden tokens; without a tokenizer the text is null', () => {
  const { greedy } = readGolden('qwen2-tied');
  const lines = greedy.map(({ prompt }) => ({ tokens: prompt }));
  const generated = generate(lines, '--temperature', '0', '--max-tokens', '24', '--ignore-eos');
  expect(generated.map(({ completions }) => completions.map(({ tokens }) => tokens))).toEqual(
    greedy.map(({ continuation }) => [continuation]),
  );
  for (const { completions } of generated)
    expect(completions[0]).toMatchObject({ text: null, stop: 'length', logprobs: { length: 24 } });
});

describe('sampling', () => {
  const lines = [{ tokens: [1, 2, 3] }, { tokens: [4, 5] }, { tokens: [1, 2, 3] }];

  test('a line has its completions whatever the other lines are; seed and place decide', () => {
    const options = ['--max-tokens', '12', '--n', '3', '--seed', '5', '--ignore-eos'];
    const all = generate(lines, ...options);
    expect(generate(lines, ...options)).toEqual(all);
    expect(generate([{ tokens: [9] }, lines[1], { tokens: [9, 9, 9] }], ...options)[1]).toEqual(all[1]);
    expect(generate(lines, '--max-tokens', '12', '--n', '3', '--seed', '6', '--ignore-eos')).not.toEqual(all);
    expect(all[0]).not.toEqual(all[2]);
    const [first, second] = all[0]?.completions ?? [];
    expect(first?.tokens).not.toEqual(second?.tokens);
    expect(all[0]?.completions).toHaveLength(3);
  });

  test('log-probabilities are those of score', () => {
    const [line] = generate([lines[0]], '--max-tokens', '10', '--ignore-eos');
    const completion = line?.completions[0];
    const whole = JSON.stringify({ tokens: [1, 2, 3, ...(completion?.tokens ?? [])] });
    const scored = JSON.parse(winnow(['score', '--model', model, '--input', '-', '--output', '-'], whole).stdout);
    expect(scored.logprobs.slice(3)).toEqual(completion?.logprobs);
  });

  test('an end token stops, and is part of the tokens', () => {
    // At a high temperature one of many completions meets token 100 soon.
    const [line] = generate([lines[0]], '--max-tokens', '200', '--n', '40', '--temperature', '5');
    const stopped = line?.completions.filter(({ stop }) => stop === 'stop_token') ?? [];
    expect(stopped.length).toBeGreaterThan(0);
    for (const { tokens } of stopped) expect(tokens.indexOf(100)).toBe(tokens.length - 1);
  });

  test('--top-k 1 is greedy', () => {
    const greedy = generate(lines, '--temperature', '0', '--max-tokens', '8', '--ignore-eos');
    const first = generate(lines, '--top-k', '1', '--max-tokens', '8', '--ignore-eos');
    const tokens = (of: readonly Generated[]) => of.map(({ completions }) => completions[0]?.tokens);
    expect(tokens(first)).toEqual(tokens(greedy));
  });
});

test('prompts, messages and stop strings with a tokenizer', async () => {
  const own = await makeModelFolder(join(folder, 'model'), ['red green blue cyan grey']);
  const run = (line: unknown, ...args: string[]): Generated => {
    const outcome = winnow(
      ['generate', '--model', own, '--input', '-', '--output', '-', ...args],
      JSON.stringify(line),
    );
    if (outcome.status !== 0) throw new Error(outcome.stderr);
    return JSON.parse(outcome.stdout);
  };
  const sampling = ['--max-tokens', '40', '--seed', '2', '--ignore-eos', '--temperature', '3', '--n', '20'];
  const plain = run({ prompt: 'red green' }, ...sampling);
  const chat = run({ messages: [{ role: 'user', content: 'red green' }] }, ...sampling);
  expect(chat).toEqual(plain); // this template is the contents alone
  const stopped = run({ prompt: 'red green' }, ...sampling, '--stop', 'blue', '--stop', 'cyan');
  const ends = stopped.completions.filter(({ stop }) => stop === 'stop_string');
  expect(ends.length).toBeGreaterThan(0);
  for (const { text } of ends) expect(text).toMatch(/(blue|cyan)/);
});

test('Ctrl-C ends with 130, one line, and no output', async () => {
  const input = writeLines(
    join(folder, 'long.jsonl'),
    Array.from({ length: 400 }, () => ({ tokens: [1, 2, 3] })),
  );
  const output = join(folder, 'never.jsonl');
  const args = ['--max-tokens', '240', '--n', '8', '--ignore-eos', '--device', 'reference', '--json'];
  const child = startWinnow(['generate', '--model', model, '--input', input, '--output', output, ...args]);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
    if (chunk.includes('"progress"') && !child.killed) child.kill('SIGINT');
  });
  const [status] = await once(child, 'close');
  expect(status).toBe(130);
  expect(
    stderr
      .trimEnd()
      .split('\n')
      .filter((line) => !line.startsWith('{"progress"')),
  ).toEqual([expect.stringMatching(/^error\[ERR_INTERRUPTED\]: interrupted by SIGINT/)]);
  expect(existsSync(output)).toBe(false);
  expect(readdirSync(folder).filter((name) => name.includes('never'))).toEqual([]);
});
