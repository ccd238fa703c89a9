import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RankingInstance } from '../../lib/types.js';
import { errorCode, makeFolder, makeModelFolder, readLines, removeFolder, winnow } from './support.js';

const folder = makeFolder();
afterAll(() => removeFolder(folder));
const data = join(folder, 'data');
let model = '';

beforeAll(async () => {
  winnow(['data', 'build', 'synthetic', '--output', data, '--users', '24']);
  const instances = readLines<RankingInstance>(join(data, 'train.jsonl'));
  const texts = instances.flatMap(({ context, candidates }) => [context, ...candidates.map(({ text }) => text)]);
  model = await makeModelFolder(join(folder, 'model'), texts);
});

test('an untrained model: all malformed, near chance, next to the baselines', () => {
  const output = join(folder, 'out');
  const args = ['--model', model, '--data', join(data, 'test.jsonl'), '--output', output, '--wording', 'compact'];
  const run = winnow(['eval', ...args, '--max-tokens', '4']);
  expect(run).toMatchObject({ status: 0, stderr: '' });
  for (const row of ['chance', 'popularity', 'BPR', 'model', 'malformed 100.00 %']) expect(run.stdout).toContain(row);

  const test = readLines<RankingInstance>(join(data, 'test.jsonl'));
  const evaluation = JSON.parse(readFileSync(join(output, 'evaluation.json'), 'utf8'));
  // Eight candidates take seven questions each, whatever the answers are.
  expect(evaluation).toMatchObject({ instances: test.length, calls: 7 * test.length, malformedRate: 1 });
  const rankings = readLines<{ instanceId: string; ranking: string[] }>(join(output, 'rankings.jsonl'));
  expect(rankings.map(({ instanceId }) => instanceId)).toEqual(test.map(({ id }) => id));
  rankings.forEach(({ ranking }, i) => {
    expect([...ranking].sort()).toEqual(test[i]?.candidates.map(({ id }) => id).sort());
  });
  // H(8) / 8 for one relevant candidate among eight.
  const mrr = evaluation.measures.find(({ name }: { name: string }) => name === 'MRR');
  expect(mrr.chance).toBeCloseTo((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5 + 1 / 6 + 1 / 7 + 1 / 8) / 8, 10);
});

test('bad input', () => {
  const output = join(folder, 'never');
  const run = (...args: string[]) => winnow(['eval', '--model', model, '--output', output, ...args]);
  expect(errorCode(run('--data', join(data, 'test.jsonl'), '--protocol', 'setwise'))).toBe('ERR_USAGE');
  expect(errorCode(run('--data', join(data, 'nothing.jsonl')))).toBe('ERR_DATA_JSONL');
  expect(errorCode(run('--data', join(data, 'train-sequences.jsonl')))).toBe('ERR_DATA_INSTANCE');
});
