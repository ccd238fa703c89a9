import { once } from 'node:events';
import { appendFileSync, existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RandomStream } from '../../lib/random.js';
import { linesOf, makeRankCase, queryCount, type RankCase, rankArguments, sampled } from './rank-support.js';
import { errorCode, makeFolder, removeFolder, startWinnow, winnow } from './support.js';

const folder = makeFolder();
afterAll(() => removeFolder(folder));

const pathOf = (name: string): string => join(folder, name);
const bytesOf = (path: string): Buffer => readFileSync(path);
const sizeOf = (path: string): number => (existsSync(path) ? statSync(path).size : 0);

let given: RankCase;
const argumentsFor = (name: string, ...args: string[]): string[] => [
  ...rankArguments(given, pathOf(name)),
  ...[...sampled, '--log', pathOf(`${name}.jsonl`), '--in-flight', '2', ...args],
];

let run: Buffer;
let log: Buffer;
beforeAll(async () => {
  given = await makeRankCase(folder);
  expect(winnow(argumentsFor('straight'))).toMatchObject({ status: 0, stderr: '' });
  run = bytesOf(pathOf('straight'));
  log = bytesOf(pathOf('straight.jsonl'));
});

function expectSame(name: string): void {
  expect(bytesOf(pathOf(name)).toString()).toBe(run.toString());
  expect(bytesOf(pathOf(`${name}.jsonl`)).toString()).toBe(log.toString());
}

/** What a process that wrote in the order of the run leaves when it is killed: so much of the run, and no less of the log. */
function leave(name: string, runBytes: number, logBytes: number): void {
  writeFileSync(pathOf(name), run.subarray(0, runBytes));
  writeFileSync(pathOf(`${name}.jsonl`), log.subarray(0, logBytes));
  writeFileSync(
    pathOf(`${name}.settings.json`),
    readFileSync(pathOf('straight.settings.json'), 'utf8').replaceAll('straight', name),
  );
}

/** Resolves with the exit code, or the name of the signal. */
async function runAndStop(args: readonly string[], signal: NodeJS.Signals, afterMs: number, output: string) {
  const child = startWinnow(args);
  let stderr = '';
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  child.stdout.resume();
  const before = sizeOf(output);
  const watch = setInterval(() => {
    if (sizeOf(output) <= before) return;
    clearInterval(watch);
    setTimeout(() => child.kill(signal), afterMs);
  }, 1);
  const [code, name] = (await once(child, 'close')) as [number | null, string | null];
  clearInterval(watch);
  return { end: code ?? name, stderr };
}

describe('a run that was interrupted', () => {
  test('killed at random moments, ends in the same bytes', async () => {
    const random = new RandomStream(2, 'kill');
    const output = pathOf('killed');
    let kills = 0;
    for (;;) {
      const afterMs = kills < 6 ? random.integer(20) : 60_000;
      const { end, stderr } = await runAndStop(argumentsFor('killed', '--resume'), 'SIGKILL', afterMs, output);
      if (end === 0) break;
      expect([end, stderr]).toEqual(['SIGKILL', '']);
      kills++;
    }
    expect(kills).toBeGreaterThan(2);
    expectSame('killed');
  });

  test('Ctrl-C ends in order: exit code 130, one line, finished queries kept', async () => {
    const output = pathOf('stopped');
    const { end, stderr } = await runAndStop(argumentsFor('stopped'), 'SIGINT', 0, output);
    expect(end).toBe(130);
    expect(stderr).toMatch(/^error\[ERR_INTERRUPTED\]: [^\n]+\n$/);
    const finished = new Set(readFileSync(output, 'utf8').match(/^q\d+/gm)).size;
    const resumed = winnow(argumentsFor('stopped', '--resume', '--json', '--in-flight', '5'));
    const summary = JSON.parse(resumed.stdout);
    expect(summary.resumed).toBe(finished);
    expect(summary.ranked).toBe(queryCount - summary.resumed);
    expect(summary.ranked).toBeGreaterThan(0);
    expectSame('stopped');
  });

  test('a torn last query is found and asked again, its calls dropped from the log', () => {
    const text = run.toString();
    const lines = text.split('\n').slice(0, -1);
    const endOf = (count: number): number => lines.slice(0, count).join('\n').length + (count > 0 ? 1 : 0);
    const tenth = linesOf(given, 10);
    expect(given.order.get([...given.order.keys()][10] as string)?.length).toBeGreaterThan(2);
    for (const [name, cut, resumed] of [
      ['nothing', 0, 0],
      ['inside the first', 5, 0],
      ['between queries', endOf(tenth), 10],
      ['between lines', endOf(tenth + 2), 10],
      ['inside a line', endOf(tenth + 2) + 7, 10],
      ['the last line break', endOf(tenth) - 1, 9],
      ['complete', text.length, queryCount],
    ] as const) {
      leave('torn', cut, Math.round((log.length * (cut + text.length)) / (2 * text.length)));
      // A whole log is cut nowhere; any other in the middle of some line.
      const result = winnow(argumentsFor('torn', '--resume', '--json'));
      expect(result.status, name).toBe(0);
      expect(JSON.parse(result.stdout), name).toMatchObject({ resumed, ranked: queryCount - resumed });
      expectSame('torn');
    }
  });

  test('is not continued with other settings, other inputs, or what another program wrote', () => {
    leave('other', run.length / 2, log.length);
    const code = (...args: string[]): string => errorCode(winnow(argumentsFor('other', ...args)));
    expect(code()).toBe('ERR_OUTPUT_EXISTS');
    expect(code('--resume', '--seed', '6')).toBe('ERR_RESUME_CONFIG');
    expect(code('--resume', '--depth', '3')).toBe('ERR_RESUME_CONFIG');
    expect(code('--resume', '--protocol', 'direct')).toBe('ERR_RESUME_CONFIG');
    expect(code('--resume', '--queries', pathOf('passages.tsv'))).toBe('ERR_RESUME_CONFIG');
    expect(code('--resume', '--log', pathOf('elsewhere'))).toBe('ERR_RESUME_CONFIG');
    const another = winnow(argumentsFor('other', '--resume', '--seed', '6'));
    expect(another.stderr).toContain('setting seed is not the one that');

    leave('other', run.length, log.length);
    appendFileSync(pathOf('other'), 'q-none Q0 d1 1 1 winnow\n');
    expect(code('--resume')).toBe('ERR_OUTPUT');
    leave('other', run.length, log.length);
    truncateSync(pathOf('other'), 0);
    appendFileSync(pathOf('other'), run.toString().split('\n').slice(1).join('\n'));
    expect(code('--resume')).toBe('ERR_OUTPUT');
    leave('other', run.length, log.length);
    appendFileSync(pathOf('other.jsonl'), '{"query":"q1"}\n');
    expect(code('--resume')).toBe('ERR_OUTPUT');
    removeFolder(pathOf('other.settings.json'));
    expect(code('--resume')).toBe('ERR_RESUME_CONFIG');
    expect(readFileSync(pathOf('other')).equals(run)).toBe(true);
  });
});
