import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { fixtureModels, readGolden } from '../golden/support.js';
import { makeFolder, makeModelFolder, readLines, removeFolder, winnow, writeLines } from './support.js';

const folder = makeFolder();
afterAll(() => removeFolder(folder));

interface Scored {
  readonly logprobs: readonly (number | null)[];
}

test.each(['cpu', 'reference'])('scores on %s are the golden ones, line by line', (device) => {
  const golden = readGolden('llama3-scaled');
  const input = writeLines(
    join(folder, 'in.jsonl'),
    golden.sequences.map((tokens) => ({ tokens })),
  );
  const output = join(folder, 'out.jsonl');
  const model = join(fixtureModels, 'llama3-scaled');
  const run = winnow(['score', '--model', model, '--input', input, '--output', output, '--device', device]);
  expect(run).toEqual({ status: 0, stdout: '', stderr: '' });
  const scored = readLines<Scored>(output);
  expect(scored).toHaveLength(golden.sequences.length);
  scored.forEach(({ logprobs }, s) => {
    expect(logprobs[0]).toBeNull();
    expect(logprobs).toHaveLength(golden.sequences[s]?.length ?? -1);
    golden.logprobs_f64[s]?.forEach((value, i) => {
      expect(Math.abs((logprobs[i + 1] as number) - value)).toBeLessThan(2e-5);
    });
  });
});

test('more lines than one batch keep their order, on the standard streams too', () => {
  const lines = Array.from({ length: 700 }, (_, i) => ({ tokens: [1 + (i % 90), 2 + (i % 89), 3] }));
  const model = join(fixtureModels, 'qwen2-tied');
  const text = lines.map((line) => JSON.stringify(line)).join('\n');
  const run = winnow(['score', '--model', model, '--input', '-', '--output', '-'], text);
  expect(run.status).toBe(0);
  const scored = run.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Scored);
  expect(scored).toHaveLength(700);
  // A line repeats after 90 x 89 lines at the earliest; each must be what it is alone.
  const alone = winnow(['score', '--model', model, '--input', '-', '--output', '-'], JSON.stringify(lines[601]));
  expect(JSON.parse(alone.stdout)).toEqual(scored[601]);
});

test.each(['--dtype', '--key-value-dtype'])('%s bf16 computes in bf16', (option) => {
  const line = JSON.stringify({ tokens: [5, 6, 7, 8, 9, 10] });
  const model = join(fixtureModels, 'qwen2-tied');
  const of = (dtype: string): Scored =>
    JSON.parse(winnow(['score', '--model', model, '--input', '-', '--output', '-', option, dtype], line).stdout);
  const [exact, rounded] = [of('f32'), of('bf16')];
  const distance = Math.abs((exact.logprobs[5] as number) - (rounded.logprobs[5] as number));
  expect(distance).toBeGreaterThan(1e-5);
  expect(distance).toBeLessThan(0.5);
});

test('text is tokenised by the folder', async () => {
  const model = await makeModelFolder(join(folder, 'model'), ['the quick brown fox jumps']);
  const text = 'the quick fox';
  const tokenized = JSON.parse(winnow(['tokenize', '--model', model, '--input', '-'], JSON.stringify({ text })).stdout);
  expect(tokenized.text).toBe(text);
  const score = (line: unknown) =>
    winnow(['score', '--model', model, '--input', '-', '--output', '-'], JSON.stringify(line)).stdout;
  expect(score({ text })).toBe(score({ tokens: tokenized.tokens }));
  expect(JSON.parse(score({ text })).logprobs).toHaveLength(tokenized.tokens.length);
});
