import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { KeyedLines } from '../../lib/data/keyed-lines.js';
import { loadTexts, readPassages, readQueries } from '../../lib/data/text-lookup.js';
import { collect, temporaryFolder } from './support.js';

const { folder, namedFile: fileOf } = temporaryFolder('keyed');

const keyOf = (text: string): string => text.split(' ')[0] as string;

test('appends, is opened again, and is put in order', async () => {
  const path = join(folder, 'new', 'lines');
  const lines = await KeyedLines.open(path, keyOf);
  await lines.append([
    { key: 'b', text: 'b 1\n' },
    { key: 'a', text: 'a é\na 2\n' },
  ]);
  await lines.append([{ key: 'b', text: 'b 2\n' }]);
  expect([lines.keys(), lines.lineCount('a'), lines.lineCount('c')]).toEqual([['b', 'a'], 2, 0]);
  await lines.close();

  const again = await KeyedLines.open(path, keyOf);
  expect([again.keys(), again.lineCount('b')]).toEqual([['b', 'a'], 2]);
  await again.rewrite(['c', 'a', 'b']);
  expect(readFileSync(path, 'utf8')).toBe('a é\na 2\nb 1\nb 2\n');
  await again.append([{ key: 'd', text: 'd\n' }]);
  await again.rewrite(['d', 'b']);
  expect(readFileSync(path, 'utf8')).toBe('d\nb 1\nb 2\n');
  expect(again.keys()).toEqual(['d', 'b']);
  await again.close();
});

test('cuts off a torn last line at any byte, even inside a character and far from the end of the line before', async () => {
  const whole = `a 1\nb ${'é'.repeat(700_000)}\n`;
  const path = fileOf('torn', whole);
  const size = Buffer.byteLength(whole);
  for (const cut of [size - 1, size - 2, size - 700_001, 5, 4, 3, 0]) {
    writeFileSync(path, whole);
    truncateSync(path, cut);
    const lines = await KeyedLines.open(path, keyOf);
    await lines.close();
    expect(readFileSync(path, 'utf8')).toBe(cut >= 4 ? 'a 1\n' : '');
    expect(lines.keys()).toEqual(cut >= 4 ? ['a'] : []);
  }
});

test('refuses a file that something else wrote, and a path that is none', async () => {
  await expect(KeyedLines.open(fileOf('crlf', 'a 1\r\nb 1\r\n'), keyOf)).rejects.toMatchObject({ code: 'ERR_OUTPUT' });
  await expect(KeyedLines.open(join(fileOf('file', ''), 'below'), keyOf)).rejects.toMatchObject({
    code: 'ERR_FILE_WRITE',
  });
});

test('reads texts in every format, and keeps those that are wanted', async () => {
  const queries = [
    fileOf('q.tsv', 'q1\tone  thing\r\nq2\tother\n'),
    fileOf('q.jsonl', '\n{"_id":"q1","text":"one  thing"}\n{"_id":"q2","text":"other","metadata":{}}\n'),
    fileOf(
      'q.json',
      JSON.stringify(
        [1, 2].map((n) => ({ query: { qid: `q${n}`, text: n === 1 ? 'one  thing' : 'other' }, candidates: [] })),
      ),
    ),
  ];
  for (const path of queries) {
    expect(await collect(readQueries(path))).toEqual([
      { id: 'q1', text: 'one  thing' },
      { id: 'q2', text: 'other' },
    ]);
  }
  const topics = fileOf('topics', '<top>\n<num> Number: 401\n<title> foreign\n  minorities\n<desc> D\n</top>\n');
  expect(await collect(readQueries(topics))).toEqual([{ id: '401', text: 'foreign minorities' }]);

  const wanted = new Set(['d1', 'd2', 'd3']);
  const tsv = fileOf('c.tsv', 'd0\tno\nd1\tyes\n');
  expect(await loadTexts(readPassages(tsv), wanted)).toEqual(new Map([['d1', 'yes']]));
  const beir = [
    '{"_id":"d1","title":"A","text":"b"}',
    '{"_id":"d2","title":"","text":" "}',
    '{"_id":"d0","text":"no"}',
  ];
  expect(await loadTexts(readPassages(fileOf('c.jsonl', beir.join('\n'))), wanted)).toEqual(new Map([['d1', 'A b']]));
  const hit = (docid: string, text: string) => ({ docid, score: 1, doc: { text } });
  const requests = [
    { query: { qid: 'q1', text: 'x' }, candidates: [hit('d1', 'yes'), hit('d0', 'no')] },
    { query: { qid: 'q2', text: 'y' }, candidates: [hit('d1', 'yes'), hit('d3', 'three')] },
  ];
  expect(await loadTexts(readPassages(fileOf('c.json', JSON.stringify(requests))), wanted)).toEqual(
    new Map([
      ['d1', 'yes'],
      ['d3', 'three'],
    ]),
  );
});
