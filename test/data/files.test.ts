import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeFileAtomic, writeFileAtomicSync } from '../../lib/data/atomic-file.js';
import { loadInstances, readInstances, validateInstance, writeInstances } from '../../lib/data/instances.js';
import { readJsonLines, writeJsonLines } from '../../lib/data/jsonl.js';
import { readLines } from '../../lib/data/lines.js';
import { openRecboleFile } from '../../lib/data/recbole.js';
import type { RankingInstance } from '../../lib/types.js';
import { collect, temporaryFolder } from './support.js';

const { folder, namedFile: file } = temporaryFolder('data');

describe('readLines', () => {
  it('splits at LF and CRLF only, across chunks, and drops a byte-order mark', async () => {
    const wide = 'é'.repeat(50_000);
    const path = file('lines', `\ufeffa\r\nb\u2028c\n\n${wide}\n${wide}x`);
    const lines = await collect(readLines(path, 'ERR_X'));
    expect(lines.map(({ text }) => text)).toEqual(['a', 'b\u2028c', '', wide, `${wide}x`]);
    expect(lines.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5]);
  });

  it('reports bytes that are no UTF-8, and missing files and folders', async () => {
    const path = file('latin1', Uint8Array.from([0x61, 0x0a, 0xe9, 0x0a]));
    await expect(collect(readLines(path, 'ERR_X'))).rejects.toMatchObject({
      code: 'ERR_X',
      message: expect.stringContaining(':2 is not valid UTF-8'),
    });
    await expect(collect(readLines(join(folder, 'none'), 'ERR_X'))).rejects.toMatchObject({ received: 'ENOENT' });
    await expect(collect(readLines(folder, 'ERR_X'))).rejects.toMatchObject({ received: 'EISDIR' });
  });

  it('reads an empty file as no lines', async () => {
    expect(await collect(readLines(file('empty', ''), 'ERR_X'))).toEqual([]);
  });
});

describe('writeFileAtomic', () => {
  it('keeps the old file and leaves nothing behind when the content fails midway', async () => {
    const path = file('kept.txt', 'old');
    async function* failing(): AsyncGenerator<string> {
      yield 'x'.repeat(3_000_000);
      throw new Error('midway');
    }
    await expect(writeFileAtomic(path, failing())).rejects.toThrow('midway');
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(folder).filter((name) => name.includes('.tmp'))).toEqual([]);
  });

  it('at once: replaces the content, and leaves nothing behind when the name cannot be taken', () => {
    const path = file('sync.txt', 'old');
    writeFileAtomicSync(path, 'new', { sync: true });
    expect(readFileSync(path, 'utf8')).toBe('new');
    mkdirSync(join(folder, 'taken'));
    writeFileSync(join(folder, 'taken/inside'), 'x');
    expect(() => writeFileAtomicSync(join(folder, 'taken'), 'x', { sync: false })).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^E/) }),
    );
    expect(readdirSync(folder).filter((name) => name.includes('.tmp'))).toEqual([]);
  });

  it('makes missing folders, and reports a folder that cannot be made', async () => {
    await writeFileAtomic(join(folder, 'deep/er/file'), 'text');
    expect(readFileSync(join(folder, 'deep/er/file'), 'utf8')).toBe('text');
    await expect(writeFileAtomic(join(folder, 'deep/er/file/under'), 'x')).rejects.toMatchObject({
      code: 'ERR_FILE_WRITE',
    });
  });
});

describe('JSON Lines', () => {
  it('round-trips values, and skips blank lines', async () => {
    const path = join(folder, 'values.jsonl');
    const values = [{ a: 'x\u2028y\n' }, [1, null], 'é', 0];
    await writeJsonLines(path, values);
    expect((await collect(readJsonLines(path))).map(({ value }) => value)).toEqual(values);
    expect(await collect(readJsonLines(file('blank.jsonl', '1\n\n  \r\n2')))).toEqual([
      { number: 1, value: 1 },
      { number: 4, value: 2 },
    ]);
  });

  it('names file and line of a broken one', async () => {
    const path = file('broken.jsonl', '{"a":1}\n{"a":');
    await expect(collect(readJsonLines(path))).rejects.toMatchObject({
      code: 'ERR_DATA_JSONL',
      message: `${path}:2 is not JSON`,
    });
    await expect(writeJsonLines(join(folder, 'u.jsonl'), [undefined])).rejects.toMatchObject({
      code: 'ERR_DATA_JSONL',
    });
  });
});

describe('RecBole atomic files', () => {
  it('reads typed columns, CRLF, blank lines and float timestamps', async () => {
    const path = file(
      'a.inter',
      'user_id:token\titem_id:token\ttimestamp:float\r\nu1\ti1\t8.8125e8\r\n\r\nu1\ti:2\t3\r\n',
    );
    const table = await openRecboleFile(path);
    expect(table.columns[2]).toEqual({ name: 'timestamp', type: 'float' });
    const rows = await collect(table.rows);
    expect(rows.map(({ line, fields }) => [line, fields[1]])).toEqual([
      [2, 'i1'],
      [4, 'i:2'],
    ]);
    expect(table.float(rows[0] as (typeof rows)[0], table.column('timestamp'))).toBe(881250000);
  });

  it.each([
    ['', 'is empty'],
    ['user_id\titem_id:token\n', 'not a header'],
    ['user_id:token\titem_id:int\n', 'not a header'],
    ['a:token\ta:token\n', 'names a column twice'],
    ['a:token\tb:token\n1\t2\n1 2\n', ':3 has the wrong number of columns'],
  ])('refuses %j', async (content, message) => {
    const path = file('bad.inter', content);
    const read = async (): Promise<unknown> => collect((await openRecboleFile(path)).rows);
    await expect(read()).rejects.toMatchObject({
      code: 'ERR_DATA_RECBOLE',
      message: expect.stringContaining(message),
    });
  });

  it('refuses a missing column and a field that is no number', async () => {
    const table = await openRecboleFile(file('b.inter', 'a:float\n1\nx\n\t\n'));
    expect(() => table.column('b')).toThrow(/lacks the column b/);
    for (const text of ['x', '', ' ', 'NaN', 'Infinity', '1,5']) {
      expect(() => table.float({ line: 3, fields: [text] }, 0)).toThrow(/:3 has a field that is no number/);
    }
  });
});

describe('ranking instances', () => {
  const good: RankingInstance = {
    id: 'q1',
    task: 'Passage-5',
    context: 'query',
    candidates: [
      { id: 'a', text: 'A' },
      { id: 'b', text: '' },
    ],
    relevance: [0, 2],
    meta: { anything: [1] },
  };

  it('round-trips', async () => {
    const path = join(folder, 'instances.jsonl');
    await writeInstances(path, [good, { ...good, id: 'q2' }]);
    expect(await loadInstances(path)).toEqual([good, { ...good, id: 'q2' }]);
  });

  it.each([
    [{ ...good, candidates: good.candidates.slice(0, 1), relevance: [1] }, 'at least 2 candidates'],
    [{ ...good, relevance: [1] }, 'one relevance for each'],
    [{ ...good, relevance: [0, 0] }, 'at least one relevance above 0'],
    [{ ...good, candidates: [good.candidates[0], good.candidates[0]] }, 'distinct candidate ids'],
    [{ ...good, relevance: [0, -1] }, 'relevance'],
    [{ ...good, relevance: [0, '1'] }, 'relevance'],
    [{ ...good, gt: 'a' }, '{id, task'],
    [null, '{id, task'],
  ])('refuses %j', (value, expected) => {
    expect(() => validateInstance(value, 'here:1')).toThrow(
      expect.objectContaining({
        code: 'ERR_DATA_INSTANCE',
        expected: expect.stringContaining(expected),
        message: expect.stringContaining('here:1'),
      }),
    );
  });

  it('refuses an id that comes twice, and an empty file', async () => {
    const path = join(folder, 'twice.jsonl');
    await writeJsonLines(path, [good, good]);
    await expect(collect(readInstances(path))).rejects.toMatchObject({ received: expect.stringContaining('line 1') });
    await expect(writeInstances(path, [good, good])).rejects.toMatchObject({ code: 'ERR_DATA_INSTANCE' });
    await expect(loadInstances(file('none.jsonl', ''))).rejects.toMatchObject({ code: 'ERR_DATA_INSTANCE' });
  });
});
