import { expect, test } from 'vitest';
import { disagreement } from '../../lib/cli/bench/check.js';
import { choosePeers, peerName, readAttempt } from '../../lib/cli/bench/peers.js';
import { lastJsonLine, parseCoreList, runProcess } from '../../lib/cli/bench/processes.js';

const request = { benchmark: 'decode', body: {}, warmups: 1, scale: 4, expected: { tokens: 8 } };
const outcome = { status: 0, stdout: '', stderr: '', timedOut: false };
const replyOf = (reply: object): string => `noise\n${JSON.stringify(reply)}\n`;
const read = (given: Partial<typeof outcome> | { status: null }) => readAttempt({ ...outcome, ...given }, request, 30);

test('warm-up is dropped and the scale multiplies', () => {
  const attempt = read({ stdout: replyOf({ seconds: [9, 1, 2], tokens: 8 }) });
  expect(attempt).toMatchObject({ kind: 'done', seconds: [4, 8], reply: { tokens: 8 } });
});

test.each([
  ['exit 3', { status: 3, stderr: 'loading\nno bf16 here\n' }, 'not done', 'no bf16 here'],
  ['another exit', { status: 1, stderr: 'Traceback\nKeyError: x' }, 'failed', 'exit status 1: KeyError: x'],
  ['killed', { status: null }, 'failed', 'exit status null'],
  ['too slow', { status: null, timedOut: true }, 'failed', 'not done within 30 s'],
  ['garbage', { stdout: 'segmentation fault' }, 'failed', 'no JSON object: segmentation fault'],
  ['an array', { stdout: '[1]' }, 'failed', 'no JSON object'],
  ['nothing', { stdout: '' }, 'failed', 'no JSON object'],
  ['negative seconds', { stdout: replyOf({ seconds: [1, -1], tokens: 8 }) }, 'failed', 'expected positive numbers'],
  ['no seconds', { stdout: replyOf({ tokens: 8 }) }, 'failed', 'expected positive numbers'],
  [
    'only the warm-up',
    { stdout: replyOf({ seconds: [1], tokens: 8 }) },
    'failed',
    'expected more than the 1 of warm-up',
  ],
  ['too few tokens', { stdout: replyOf({ seconds: [1, 1], tokens: 7 }) }, 'failed', 'tokens is 7, expected 8'],
])('a reply that is none: %s', (_, given, kind, reason) => {
  expect(read(given)).toMatchObject({ kind, reason: expect.stringContaining(reason) });
});

test('choices of peers', () => {
  const abilities = ['a', 'a', 'b'].map((peer) => ({ peer, benchmark: 'x', dtypes: ['f32'] }));
  expect(choosePeers(abilities, [], 'bf16')).toEqual([
    { peer: 'a', dtype: 'bf16' },
    { peer: 'b', dtype: 'bf16' },
  ]);
  const [first, second] = choosePeers(abilities, ['b', 'b:q8_0'], 'f32');
  expect([first, second].map((choice) => choice && peerName(choice, 'f32'))).toEqual(['b', 'b:q8_0']);
  expect(() => choosePeers(abilities, ['c'], 'f32')).toThrow(/no such peer/);
});

test('numbers that agree, and those that do not', () => {
  expect(disagreement([1, 2], [1.05, 1.95], 0.1)).toBeUndefined();
  expect(disagreement([1, 2], [1, 2.2], 0.1)).toMatch(/entry 1 is 2.2, expected 2/);
  expect(disagreement([1, 2], [1], 0.1)).toMatch(/1 numbers, expected 2/);
  expect(disagreement([1], ['1'], 0.1)).toMatch(/entry 0/);
  expect(disagreement([1], [Number.NaN], 0.1)).toMatch(/entry 0/);
  // NaN of ours, as JSON brings it.
  expect(disagreement([null as unknown as number], [0], 0.1)).toMatch(/entry 0/);
});

test('lists of cores, and the last line of an output', () => {
  expect(parseCoreList('0-2,5\n')).toEqual([0, 1, 2, 5]);
  expect(parseCoreList('7')).toEqual([7]);
  expect(lastJsonLine('{"a":1}\n{"b":2}\n\n')).toEqual({ b: 2 });
  expect(lastJsonLine('{"a":1}\nbye')).toBeUndefined();
});

test('a process that is too slow is killed with what it started', async () => {
  // The output ends when the last process that holds it does: unkilled, the sleeper would keep it for a minute.
  const command = ['sh', '-c', 'echo started; sleep 60 & wait'];
  const signal = new AbortController().signal;
  const began = performance.now();
  const outcome = await runProcess({ command, input: {}, cores: undefined, timeoutSeconds: 1, signal });
  expect(outcome).toMatchObject({ timedOut: true, stdout: 'started\n' });
  expect(performance.now() - began).toBeLessThan(45_000);
});
