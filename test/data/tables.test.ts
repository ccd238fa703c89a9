import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readCsv } from '../../lib/data/csv.js';
import { readJsonFile } from '../../lib/data/json-file.js';
import { readParquetRows } from '../../lib/data/parquet.js';
import { parsePythonStrings } from '../../lib/data/python-literal.js';
import { collect, temporaryFolder } from './support.js';

const { folder, namedFile: file } = temporaryFolder('tables');
const fixtures = join(import.meta.dirname, '../fixtures/parquet');

describe('CSV', () => {
  it('reads quotes, commas, line breaks, CRLF, empty fields and blank lines, with the line of each row', async () => {
    const path = file('a.csv', '\ufeffa,b,"c ""x"""\r\n1,"two, ""2""\r\nlines",\r\n\r\n"",x,"y"\n');
    const rows = await collect(readCsv(path));
    expect(rows.map(({ line, fields }) => [line, [...fields]])).toEqual([
      [
        2,
        [
          ['a', '1'],
          ['b', 'two, "2"\nlines'],
          ['c "x"', ''],
        ],
      ],
      [
        5,
        [
          ['a', ''],
          ['b', 'x'],
          ['c "x"', 'y'],
        ],
      ],
    ]);
  });

  it.each([
    ['', 'is empty'],
    ['a,a\n', ':1 names a column twice'],
    ['a,b\n1,2\n1\n', ':3 has the wrong number of fields'],
    ['a,b\n1,"2\n3\n', ':2 has a quoted field that never closes'],
    ['a,b\n"1"x,2\n', ':2 has text after a closing quote'],
  ])('refuses %j', async (content, message) => {
    await expect(collect(readCsv(file('bad.csv', content)))).rejects.toMatchObject({
      code: 'ERR_DATA_CSV',
      message: expect.stringContaining(message),
    });
  });

  it('refuses bytes that are no UTF-8', async () => {
    const path = file('latin.csv', Uint8Array.from([0x61, 0x0a, 0xe9, 0x0a]));
    await expect(collect(readCsv(path))).rejects.toMatchObject({ message: expect.stringContaining(':2 is not valid') });
  });
});

describe('lists of strings as Python writes them', () => {
  it.each([
    ["['a', \"b's\", 'c\\'d \\\\ \\n']", ['a', "b's", "c'd \\ \n"]],
    ["['\\xe9\\u4e1c\\U0001f600']", ['é东😀']],
    ['[]', []],
    [" [ 'a' , 'b', ] ", ['a', 'b']],
  ])('%s', (text, values) => expect(parsePythonStrings(text)).toEqual(values));

  it.each(['a', "['a' 'b']", "['a", "['a']]", '[1]', "['a'] x", "['\\U00ffffff']"])('not %s', (text) =>
    expect(parsePythonStrings(text)).toBeUndefined(),
  );
});

describe('Parquet', () => {
  it('reads nested rows of all row groups and both compressions', async () => {
    const rows = await collect(readParquetRows(join(fixtures, 'ms-marco/train-00000-of-00001.parquet')));
    expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: 11 }, (_, index) => index + 1));
    expect(rows[4]?.value).toMatchObject({ query: 'query 5', query_id: 5, passages: { is_selected: [1, 0, 0, 0, 0] } });
    const tevatron = await collect(readParquetRows(join(fixtures, 'tevatron/train.parquet'), ['query_id']));
    expect(tevatron.map(({ value }) => value)).toEqual(['q1', 'q2', 'q3', 'q4', 'q5'].map((id) => ({ query_id: id })));
  });

  it('refuses text that is no UTF-8', async () => {
    const path = join(fixtures, 'latin1.parquet');
    await expect(collect(readParquetRows(path))).rejects.toMatchObject({
      code: 'ERR_DATA_PARQUET',
      message: expect.stringContaining('latin1.parquet'),
      received: expect.stringMatching(/encoding|encoded|valid/i),
    });
  });

  it.each([
    ['text.parquet', 'not Parquet at all'],
    ['cut.parquet', 'PAR1'],
    ['empty.parquet', ''],
  ])('refuses %s', async (name, content) => {
    await expect(collect(readParquetRows(file(name, content)))).rejects.toMatchObject({ code: 'ERR_DATA_PARQUET' });
    await expect(collect(readParquetRows(join(folder, 'none.parquet')))).rejects.toMatchObject({ received: 'ENOENT' });
  });
});

describe('JSON files', () => {
  it('are read, or refused with their path', async () => {
    expect(await readJsonFile(file('a.json', '\ufeff{"a": 1}'), 'ERR_X')).toEqual({ a: 1 });
    const bad = [file('b.json', '{'), file('c.json', Uint8Array.from([0x22, 0xe9, 0x22])), join(folder, 'none.json')];
    for (const path of bad) {
      await expect(readJsonFile(path, 'ERR_X')).rejects.toMatchObject({
        code: 'ERR_X',
        message: expect.stringContaining(path),
      });
    }
  });
});
