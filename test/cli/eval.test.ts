import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RankingInstance } from '../../lib/types.js';
import { errorCode, makeFolder, makeModelFolder, readLines, removeFolder, winnow, writeLines } from './support.js';

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
  // Every step repeats the history: its keys are computed once.
  const { prompt, computedPrompt } = evaluation.tokens;
  expect(prompt).toBeGreaterThan(computedPrompt);
  expect(computedPrompt).toBeGreaterThan(0);
  const rankings = readLines<{ instanceId: string; ranking: string[] }>(join(output, 'rankings.jsonl'));
  expect(rankings.map(({ instanceId }) => instanceId)).toEqual(test.map(({ id }) => id));
  rankings.forEach(({ ranking }, i) => {
    expect([...ranking].sort()).toEqual(test[i]?.candidates.map(({ id }) => id).sort());
  });
  const page = readFileSync(join(output, 'evaluation.html'), 'utf8');
  const shown = JSON.parse(page.match(/id="rankings-data">([^<]*)</)?.[1] as string);
  // Six test users, each with its seven calls.
  expect(shown.map(({ instance }: { instance: string }) => instance)).toEqual(test.map(({ id }) => id));
  expect(shown.map(({ calls }: { calls: unknown[] }) => calls.length)).toEqual(test.map(() => 7));
  expect(shown[0].calls[0].prompt).toContain('<think>');

  // H(8) / 8 for one relevant candidate among eight.
  const mrr = evaluation.measures.find(({ name }: { name: string }) => name === 'MRR');
  expect(mrr.chance).toBeCloseTo((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5 + 1 / 6 + 1 / 7 + 1 / 8) / 8, 10);
});

test.each([
  ['direct', [], 1],
  ['setwise', ['window=4', 'topK=1'], 3],
  ['listwise', ['wording=compact', 'window=4', 'stride=2'], 3],
  ['pointwise', ['wording=compact', 'positive= yes', 'negative= no'], 8],
])('asks by protocol %s', (protocol, protocolOptions, calls) => {
  const output = join(folder, protocol);
  const args = ['--model', model, '--data', join(data, 'test.jsonl'), '--output', output, '--max-tokens', '4'];
  const wording = protocolOptions.some((option) => option.startsWith('wording')) ? [] : ['--wording', 'compact'];
  const options = protocolOptions.flatMap((option) => ['--protocol-option', option]);
  expect(winnow(['eval', ...args, '--protocol', protocol, ...wording, ...options])).toMatchObject({
    status: 0,
    stderr: '',
  });
  const { instances, ...evaluation } = JSON.parse(readFileSync(join(output, 'evaluation.json'), 'utf8'));
  expect(evaluation).toMatchObject({ calls: calls * instances, malformedRate: protocol === 'pointwise' ? 0 : 1 });
});

test('trains SASRec beside it when asked, and shows as many rankings as asked', () => {
  const output = join(folder, 'sasrec');
  const args = ['--model', model, '--data', join(data, 'test.jsonl'), '--output', output, '--wording', 'compact'];
  const run = winnow(['eval', ...args, '--max-tokens', '2', '--limit', '3', '--show', '1', '--sasrec']);
  expect(run).toMatchObject({ status: 0, stderr: '' });
  expect(run.stdout).toContain('SASRec');
  expect(JSON.parse(readFileSync(join(output, 'evaluation.json'), 'utf8')).baselines.SASRec).toHaveLength(6);
  const page = readFileSync(join(output, 'evaluation.html'), 'utf8');
  expect(JSON.parse(page.match(/id="rankings-data">([^<]*)</)?.[1] as string)).toHaveLength(1);
  expect(page).toContain('<td>SASRec</td>');

  const alone = join(folder, 'alone.jsonl');
  writeLines(alone, readLines(join(data, 'test.jsonl')).slice(0, 1));
  const without = ['--model', model, '--data', alone, '--output', join(folder, 'never'), '--sasrec'];
  expect(errorCode(winnow(['eval', ...without]))).toBe('ERR_USAGE');
});

test('puts thoughts before the questions', () => {
  const thoughts = join(folder, 'thoughts.jsonl');
  const [one] = readLines<RankingInstance>(join(data, 'test.jsonl')) as [RankingInstance];
  const kept = { instanceId: 'other', task: one.task, owner: 'u:nobody', context: one.context.split('\n')[0] };
  writeLines(thoughts, [{ ...kept, candidates: [], answer: [], thought: 'so it is', reward: 1 }]);
  const args = ['--model', model, '--data', join(data, 'test.jsonl'), '--limit', '1', '--wording', 'compact'];
  const out = ['--output', join(folder, 'thoughts'), '--max-tokens', '2', '--thoughts', thoughts];
  const run = winnow(['eval', ...args, ...out, '--json']);
  expect(JSON.parse(run.stdout)).toMatchObject({ protocol: 'exclusion/compact+thoughts', calls: 7 });
  const promptTokens = (...by: string[]) => {
    const { status, stdout } = winnow(['eval', ...args, ...out, '--json', ...by]);
    expect(status).toBe(0);
    return JSON.parse(stdout).tokens.prompt as number;
  };
  const without = promptTokens('--thoughts-threshold', '1e9');
  expect(promptTokens()).toBeGreaterThan(without);
  // Every cosine is at most 1, and that of two histories with a title in common above -1.
  expect(promptTokens('--thoughts-by', 'hidden')).toBeGreaterThan(without);
  expect(promptTokens('--thoughts-by', 'hidden', '--thoughts-threshold', '1.001')).toBe(without);
});

test('bad input', () => {
  const output = join(folder, 'never');
  const run = (...args: string[]) => winnow(['eval', '--model', model, '--output', output, ...args]);
  expect(errorCode(run('--data', join(data, 'test.jsonl'), '--protocol', 'pairwise'))).toBe('ERR_USAGE');
  const option = ['--data', join(data, 'test.jsonl'), '--protocol', 'setwise', '--protocol-option'];
  expect(errorCode(run(...option, 'topK=0'))).toBe('ERR_PROTOCOL_OPTION');
  expect(errorCode(run(...option, 'topK'))).toBe('ERR_USAGE');
  expect(errorCode(run('--data', join(data, 'nothing.jsonl')))).toBe('ERR_DATA_JSONL');
  expect(errorCode(run('--data', join(data, 'train-sequences.jsonl')))).toBe('ERR_DATA_INSTANCE');
});
