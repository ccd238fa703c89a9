import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import {
  type ComparedRecord,
  compareFigure,
  compareRecord,
  compareRuns,
  readRecords,
  relativeScatter,
} from '../bench/compare-records.js';

const record: ComparedRecord = {
  ...{ benchmark: 'prefill 512', shape: 'tiny', dtype: 'f32', threads: 2, instructions: 'avx2' },
  ...{ secondsMedian: 2, secondsMin: 1.9, secondsMax: 2.4, secondsMad: 0.02 },
  ...{ fractionOfPeak: 0.7, fractionOfFloor: 0.8, floorSeconds: 1.6 },
};
const verdicts = (older: ComparedRecord, newer: ComparedRecord) =>
  compareRecord(older, newer).map(({ figure, verdict }) => `${figure} ${verdict}`);

test('scatter by hand', () => {
  expect(relativeScatter(record)).toBeCloseTo(0.014826, 9);
  const { secondsMad: _, ...older } = record;
  // A record without deviations: half its range, 0.25.
  expect(relativeScatter(older)).toBeCloseTo((1.4826 * 0.25) / 2, 9);
});

test('a change counts beyond three standard deviations of both runs', () => {
  // sqrt 2 x 3 x 0.014826 = 0.0629.
  const [comparison] = compareRecord(record, { ...record, fractionOfFloor: 0.76 });
  expect(comparison?.limit).toBeCloseTo(0.062901, 5);
  expect(comparison?.change).toBeCloseTo(-0.05, 12);
  expect(comparison?.verdict).toBe('same');
  expect(verdicts(record, { ...record, fractionOfFloor: 0.74 })).toEqual(['fractionOfFloor worse']);
  expect(verdicts(record, { ...record, fractionOfFloor: 0.9 })).toEqual(['fractionOfFloor better']);
  const still = { ...record, secondsMad: 0 };
  expect(verdicts(still, { ...still, fractionOfFloor: 0.777 })).toEqual(['fractionOfFloor same']);
  expect(verdicts(still, { ...still, fractionOfFloor: 0.775 })).toEqual(['fractionOfFloor worse']);
});

test('seconds alone say nothing: a slower day is no regression', () => {
  const slower = { ...record, secondsMedian: 4, secondsMin: 3.8, secondsMax: 4.8, secondsMad: 0.04 };
  expect(verdicts(record, slower)).toEqual(['fractionOfFloor same']);
});

test('ratios to peers that both runs have', () => {
  const peers = (ratio: number) => [{ peer: 'x', status: 'done', ratio, secondsMedian: 4, secondsMad: 0 }];
  const failed = [{ peer: 'x', status: 'failed' }];
  expect(verdicts({ ...record, peers: peers(2) }, { ...record, peers: peers(1.7) })).toContain('ratio to x worse');
  expect(verdicts({ ...record, peers: peers(2) }, { ...record, peers: peers(1.95) })).toContain('ratio to x same');
  expect(verdicts({ ...record, peers: peers(2) }, { ...record, peers: failed })).toEqual(['fractionOfFloor same']);
});

test('memory grows beyond a twentieth', () => {
  const of = (peakResidentBytes: number) => ({ ...record, peakResidentBytes });
  expect(verdicts(of(1e9), of(1.04e9))[1]).toBe('gigabytes resident, inverse same');
  expect(verdicts(of(1e9), of(1.1e9))[1]).toBe('gigabytes resident, inverse worse');
});

test('a limit is a factor, the same both ways', () => {
  expect([0.24, 0.26, 3.9, 4.1].map((now) => compareFigure('k', 'f', 1, now, 3).verdict)).toEqual([
    'worse',
    'same',
    'same',
    'better',
  ]);
});

test('records match by benchmark, shape, dtype, threads, instructions; the last of a key counts', () => {
  const other = { ...record, threads: 1 };
  const { comparisons, onlyOld, onlyNew } = compareRuns(
    [{ ...record, fractionOfFloor: 0.1 }, record, other],
    [record, { ...record, dtype: 'bf16' }],
  );
  expect(comparisons.map(({ verdict }) => verdict)).toEqual(['same']);
  expect(onlyOld).toEqual(['prefill 512, tiny, f32, 1 threads, cpu (avx2)']);
  expect(onlyNew).toEqual(['prefill 512, tiny, bf16, 2 threads, cpu (avx2)']);
});

test('the command: both forms of file, and the exit status', () => {
  expect(readRecords('[]')).toEqual([]);
  const folder = mkdtempSync(join(tmpdir(), 'winnow-compare-'));
  try {
    const [older, newer] = ['old.json', 'new.jsonl'].map((name) => join(folder, name)) as [string, string];
    writeFileSync(older, JSON.stringify([record]));
    writeFileSync(newer, `${JSON.stringify({ ...record, fractionOfFloor: 0.5 })}\n`);
    const script = fileURLToPath(new URL('../scripts/bench-compare.mjs', import.meta.url));
    const node = (...args: string[]) => spawnSync(process.execPath, args, { encoding: 'utf8' });
    const worse = node(script, older, newer);
    expect(worse.stdout).toContain('worse  prefill 512');
    expect(worse.status).toBe(1);
    // What the script compiled.
    const compiled = fileURLToPath(new URL('../build/bench/bench/compare.js', import.meta.url));
    expect(node(compiled, newer, older).status).toBe(0);
    expect(node(compiled, older).status).toBe(2);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 240_000);
