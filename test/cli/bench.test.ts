import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { exclusionComputedTokens } from '../../lib/cli/bench/accounting-exclusion.js';
import type { BenchRecord } from '../../lib/cli/bench/record.js';
import { errorCode, makeFolder, readLines, removeFolder, winnow } from './support.js';

// Dozens of processes, some of which measure the machine.
vi.setConfig({ testTimeout: 240_000 });

const folder = makeFolder();
afterAll(() => removeFolder(folder));

const scratch = join(folder, 'scratch');
const small = ['--shape', 'tiny', '--dtype', 'f32', '--threads', '1', '--repeats', '0', '--scratch', scratch];

/** A peer in JavaScript: `body` makes the reply of `request` for `benchmark`; `log` has a line a call. */
function fakePeer(name: string, body: string, benchmarks = ['prefill', 'decode', 'train', 'grpo', 'gemm']) {
  const log = join(folder, `${name}.log`);
  const path = join(folder, name);
  const lists = benchmarks.map((benchmark) =>
    JSON.stringify({ peer: 'fake', benchmark, dtypes: ['f32', 'q8'], versions: { fake: '1' } }),
  );
  writeFileSync(
    path,
    `#!${process.execPath}
const fs = require('node:fs');
if (process.argv[2] === '--list') { console.log(${JSON.stringify(lists.join('\n'))}); process.exit(0); }
const [, , peer, benchmark] = process.argv;
const request = JSON.parse(fs.readFileSync(0, 'utf8'));
fs.appendFileSync(${JSON.stringify(log)}, JSON.stringify({ peer, benchmark, ...request }) + '\\n');
${body}`,
  );
  chmodSync(path, 0o755);
  return { path, calls: () => (existsSync(log) ? readLines<Record<string, unknown>>(log) : []) };
}

const reply = (fields: string): string => `console.log(JSON.stringify({ versions: { fake: '1' }, ${fields} }));`;

function bench(args: readonly string[]): { records: BenchRecord[]; stderr: string; status: number | null } {
  const { stdout, stderr, status } = winnow(['bench', ...args, ...small, '--json']);
  const lines = stdout.split('\n').filter((line) => line !== '');
  return { records: lines.map((line) => JSON.parse(line) as BenchRecord), stderr, status };
}

test('a table, phases that sum to the wall time, and a record', () => {
  const output = join(folder, 'records.jsonl');
  const args = ['--trials', '2', '--prompt', '32', '--completion', '8', '--output', output];
  const run = winnow(['bench', 'grpo', ...args, ...small]);
  expect(run.stderr).not.toContain('error[');
  expect(run.status).toBe(0);
  expect(run.stdout).toContain('% of floor');
  expect(run.stdout).toContain('not accounted for');
  const record = JSON.parse(run.stdout.trimEnd().split('\n').at(-1) as string) as BenchRecord;
  expect(record).toMatchObject({ benchmark: 'grpo G=8 P=32 R=8', dtype: 'f32', threads: 1, runs: 2, peers: [] });
  expect(record.trials.map(({ round }) => round)).toEqual([1, 2]);
  expect(record.secondsMin).toBeLessThanOrEqual(record.secondsMedian);
  expect(record.fractionOfFloor).toBeGreaterThan(0);
  expect(record.fractionOfFloor).toBeLessThan(1);
  expect(record.peakResidentBytes).toBeGreaterThan(2 ** 24);
  expect(record.details.forestTokens).toBeLessThanOrEqual(32 + 8 * 8);
  // On the CPU sampling and training agree bit for bit.
  expect(record.details.maxAbsoluteLogRatio).toBe(0);
  const phases = record.phases ?? [];
  const one = record.trials.map(({ seconds }) => seconds[0] as number);
  const sum = phases.reduce((total, { seconds }) => total + seconds, 0);
  expect(one.some((seconds) => Math.abs(seconds - sum) < 1e-9)).toBe(true);
  expect(readLines(output)).toEqual([JSON.parse(JSON.stringify(record))]);
});

test('a peer that disagrees on the weights is not timed', () => {
  const peer = fakePeer('wrong', reply('seconds: [1], checkLogprobs: [0, 0, 0, 0, 0, 0, 0, 0]'));
  const { records, status } = bench(['prefill', '--trials', '1', '--peers', peer.path]);
  expect(status).toBe(0);
  const [theirs] = records[0]?.peers ?? [];
  expect(theirs).toMatchObject({ peer: 'fake', status: 'failed' });
  expect(theirs).toHaveProperty('reason', expect.stringMatching(/^check: entry 0 is 0, expected -/));
  expect(peer.calls()).toHaveLength(1);
});

test('ours and the peer take turns, on the same request every time', () => {
  // It loads nothing: the loss that it should answer is told by the check that it fails.
  const ignorant = fakePeer('ignorant', reply('seconds: [1], loss: 0'));
  const refused = bench(['train', '--trials', '1', '--peers', ignorant.path]).records[0]?.peers[0];
  const [, loss] = (refused as { reason: string }).reason.match(/expected ([\d.]+) within/) ?? [];
  const peer = fakePeer(
    'turns',
    `if (benchmark === 'train') { ${reply(`seconds: [9, 3], loss: ${loss}`)} }
     else { process.stderr.write('no such thing here'); process.exit(3); }`,
  );
  const { records, stderr } = bench(['train', 'grpo', '--trials', '3', '--peers', peer.path, '--peer', 'fake']);
  expect(stderr).not.toContain('error[');
  const order = stderr.split('\n').flatMap(
    (line) =>
      line
        .match(/^train 4x256, round (\d), (\w+):/)
        ?.slice(1)
        .join(' ') ?? [],
  );
  expect(order).toEqual(['1 winnow', '1 fake', '2 winnow', '2 fake', '3 winnow', '3 fake']);
  // The checks ask for one step.
  const trials = peer.calls().filter(({ benchmark, steps }) => benchmark === 'train' && steps === 2);
  expect(trials).toHaveLength(3);
  for (const trial of trials) expect(trial).toEqual(trials[0]);
  expect(trials[0]).toMatchObject({ threads: 1, dtype: 'f32', steps: 2 });
  expect(existsSync(join(trials[0]?.model as string, 'model.safetensors'))).toBe(true);
  const [train, grpo] = records as [BenchRecord, BenchRecord];
  // The first step is warm-up: 3 s is what counts.
  expect(train.peers[0]).toMatchObject({ peer: 'fake', status: 'done', secondsMedian: 3, versions: { fake: '1' } });
  expect(train.peers[0]).toHaveProperty('ratio', 3 / train.secondsMedian);
  expect(grpo.peers[0]).toMatchObject({ status: 'not done', reason: expect.stringContaining('no such thing here') });
});

test('a peer that is too slow, and one that breaks, are told', () => {
  const slow = fakePeer('slow', 'setTimeout(() => {}, 60_000);');
  const [one] = bench(['prefill', '--trials', '1', '--peers', slow.path, '--peer-timeout', '1']).records;
  expect(one?.peers).toMatchObject([{ status: 'failed', reason: 'check: not done within 1 s' }]);
  const broken = fakePeer('broken', "process.stderr.write('out of memory'); process.exit(9);");
  const args = [
    'prefill',
    '--trials',
    '1',
    '--peers',
    broken.path,
    '--peer',
    'fake',
    '--peer',
    'fake:q8',
    '--peer',
    'fake:q4',
  ];
  const [two] = bench(args).records;
  expect(two?.peers).toMatchObject([
    { peer: 'fake', status: 'failed', reason: 'check: exit status 9: out of memory' },
    { peer: 'fake:q8', status: 'failed' },
    { peer: 'fake:q4', status: 'not done', reason: 'prefill in f32, q8 only' },
  ]);
});

test('an exclusion computes what the count says, and a peer with fewer queries is compared per query', () => {
  const peer = fakePeer(
    'fewer',
    `let given = 0;
     for (const { prefix, candidates, suffix } of request.queries)
       for (let n = candidates.length; n > 1; n--) given += prefix.length + 14 * n + suffix.length;
     ${reply('seconds: [2], promptTokens: given, answers: 19 * request.queries.length')}`,
    ['exclusion'],
  );
  const args = ['exclusion', '--trials', '1', '--queries', '2', '--peer-queries', '1', '--peers', peer.path];
  const record = bench(args).records[0] as BenchRecord;
  // 19 prompts with 400 + 20 tokens, and 14 for each of 20 + 19 + ... + 2 candidates.
  expect(record.details).toMatchObject({ promptTokens: 2 * (19 * 420 + 14 * 209), answers: 38 });
  const shape = {
    queries: 2,
    candidates: 20,
    shared: 64,
    prefix: 400,
    candidateTokens: 14,
    suffix: 20,
    answerTokens: 32,
  };
  expect(record.details.computedTokens).toBe(exclusionComputedTokens(shape));
  expect(record.phases?.map(({ phase }) => phase)).toEqual(['prefill', 'decode', 'rest', 'not accounted for']);
  expect(record.phases?.slice(0, 2).every((phase) => phase.seconds > 0 && (phase.floorSeconds ?? 0) > 0)).toBe(true);
  const sum = record.phases?.reduce((total, { seconds }) => total + seconds, 0);
  expect(sum).toBeCloseTo(record.secondsMedian, 9);
  // Seconds of one query count twice.
  expect(record.peers[0]).toMatchObject({ peer: 'fake', status: 'done', secondsMedian: 4, scale: 2 });
  expect(record.peers[0]?.check).toContain('counts');
});

test('unknown names', () => {
  expect(errorCode(winnow(['bench', 'sorting']))).toBe('ERR_USAGE');
  const peer = fakePeer('named', '');
  const run = winnow(['bench', 'prefill', ...small, '--peers', peer.path, '--peer', 'nobody']);
  expect(errorCode(run)).toBe('ERR_USAGE');
  expect(run.stderr).toContain('fake');
});

test('the model folder is written once', () => {
  const weights = join(scratch, 'tiny-random-bf16', 'model.safetensors');
  const before = readFileSync(weights);
  writeFileSync(`${weights}.mark`, '');
  bench(['prefill', '--trials', '1']);
  expect(existsSync(`${weights}.mark`)).toBe(true);
  expect(readFileSync(weights).equals(before)).toBe(true);
});
