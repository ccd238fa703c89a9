import { existsSync, readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { makeFolder, readLines, removeFolder, winnow } from './support.js';

const folder = makeFolder();
afterAll(() => removeFolder(folder));

test('doctor tells each backend, for people and for programs', () => {
  const people = winnow(['doctor']);
  expect(people.status).toBe(0);
  expect(people.stdout).toMatch(/reference\s+usable/);
  expect(people.stdout).toMatch(/cuda\s+not usable\s+\S/);
  const left = Number(people.stdout.match(/^chosen: \S+ \(\S+\), \d+ threads, ([\d.]+) GiB left for models$/m)?.[1]);
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThanOrEqual(totalmem() / 2 ** 30);
  const report = JSON.parse(winnow(['doctor', '--json']).stdout);
  const devices = report.backends.map(({ device }: { device: string }) => device);
  expect(devices).toEqual(expect.arrayContaining(['cpu', 'reference', 'cuda']));
  expect(report.version).toBe(JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version);
});

test('data build writes both sides and the card', () => {
  const output = join(folder, 'synthetic');
  const run = winnow(['data', 'build', 'synthetic', '--output', output, '--users', '30', '--seed', '4', '--json']);
  expect(run.stderr).toBe('');
  expect(run.status).toBe(0);
  expect(JSON.parse(run.stdout)).toEqual(JSON.parse(readFileSync(join(output, 'card.json'), 'utf8')));
  const ids = ['train', 'test'].flatMap((side) =>
    readLines<{ id: string }>(join(output, `${side}.jsonl`)).map(({ id }) => id),
  );
  expect(new Set(ids).size).toBe(30);
  const again = join(folder, 'again');
  winnow(['data', 'build', 'synthetic', '--output', again, '--users', '30', '--seed', '4']);
  expect(readFileSync(join(again, 'train.jsonl'))).toEqual(readFileSync(join(output, 'train.jsonl')));
});

test('data build refuses an unknown task and a missing source', () => {
  const output = join(folder, 'never');
  expect(winnow(['data', 'build', 'Rec-Movies', '--output', output]).stderr).toMatch(/^error\[ERR_TASK_UNKNOWN\]/);
  expect(winnow(['data', 'build', 'Rec-Movie', '--output', output]).stderr).toMatch(/^error\[ERR_DATA_SOURCE\]/);
  expect(existsSync(output)).toBe(false);
});
