import { existsSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { Journal, readJournal } from '../../lib/train/journal.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'winnow-journal-'));
});

const text = (name: string) => readFileSync(join(folder, `${name}.jsonl`), 'utf8');

it('appends lines and tells where it stands', () => {
  const journal = new Journal(folder);
  journal.append('metrics', { step: 1, text: 'é\n' });
  journal.append('metrics', { step: 2 });
  expect(text('metrics')).toBe('{"step":1,"text":"é\\n"}\n{"step":2}\n');
  expect(journal.positions()).toEqual({
    metrics: Buffer.byteLength(text('metrics')),
    timing: 0,
    samples: 0,
    thoughts: 0,
  });
  journal.close();
  expect(() => journal.append('metrics', {})).toThrowError(expect.objectContaining({ code: 'ERR_DISPOSED' }));
});

it('cuts back to the positions of a checkpoint, half-written lines too', () => {
  const journal = new Journal(folder);
  journal.append('metrics', { step: 1 });
  const positions = journal.positions();
  journal.append('metrics', { step: 2 });
  journal.close();
  writeFileSync(join(folder, 'metrics.jsonl'), '{"st', { flag: 'a' });
  const resumed = new Journal(folder, positions);
  resumed.append('metrics', { step: 2, again: true });
  resumed.close();
  expect(text('metrics')).toBe('{"step":1}\n{"step":2,"again":true}\n');
});

it('refuses to go on after lines that the checkpoint counts are lost', () => {
  expect(() => new Journal(folder, { metrics: 5, timing: 0, samples: 0, thoughts: 0 })).toThrowError(
    expect.objectContaining({ code: 'ERR_CHECKPOINT' }),
  );
});

it('starts empty without positions, and reads a growing file up to its last whole line', () => {
  writeFileSync(join(folder, 'timing.jsonl'), 'old');
  new Journal(folder).close();
  expect(text('timing')).toBe('');
  writeFileSync(join(folder, 'timing.jsonl'), '{"a":1}\n\n{"a":2}\n{"a":');
  expect(readJournal(folder, 'timing')).toEqual([{ a: 1 }, { a: 2 }]);
  expect(readJournal(join(folder, 'none'), 'timing')).toEqual([]);
});

it.skipIf(!existsSync('/dev/full'))('says that the disk is full', () => {
  symlinkSync('/dev/full', join(folder, 'metrics.jsonl'));
  expect(() => {
    const journal = new Journal(folder);
    journal.append('metrics', { step: 1 });
  }).toThrowError(expect.objectContaining({ code: expect.stringMatching(/^ERR_OUTPUT/) }));
});
