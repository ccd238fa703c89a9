import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  formatRunLines,
  loadBeirQrels,
  loadQrels,
  loadRun,
  readMsMarcoRun,
  readRun,
  readRunByQuery,
  strictlyDecreasingScores,
  writeQrels,
  writeRun,
} from '../../lib/data/index.js';
import { at, collect, temporaryFolder } from './support.js';

const { folder, file } = temporaryFolder('trec');

describe('runs', () => {
  it('are read in any order, with CRLF, tabs, blank lines, comments and more fields', async () => {
    const path = file('\ufeff# a comment\r\nq2 Q0 b 9 1.5 tag\r\n\r\n q1\tQ0\ta 1 -2e3 tag more\r\nq2 Q0 a 1 2 last');
    const run = await loadRun(path);
    expect(run.tag).toBe('last');
    expect([...run.queries]).toEqual([
      [
        'q2',
        [
          { documentId: 'b', score: 1.5, line: 2 },
          { documentId: 'a', score: 2, line: 5 },
        ],
      ],
      ['q1', [{ documentId: 'a', score: -2000, line: 4 }]],
    ]);
  });

  it.each([
    ['q Q0 d 1 2', 1, 'run tag is missing'],
    ['q Q0 d 1 2 t\nq Q0', 2, 'document id is missing'],
    ['q Q0 d 1 high t', 1, 'score is no number'],
    ['q Q0 d 1 0x10 t', 1, 'score is no number'],
    ['q Q0 d 1 nan t', 1, 'score is no number'],
    ['q Q0 d 1 1e999 t', 1, 'score is no number'],
    ['q Q0 d 1 2 t\np Q0 d 1 2 t\nq Q0 d 2 1 t', 3, 'document id comes twice for query "q"'],
  ])('that are broken name line and field: %j', async (content, line, field) => {
    await expect(loadRun(file(content))).rejects.toEqual(at('ERR_DATA_RUN', line, field));
  });

  it('separate fields at the white space of C alone', async () => {
    const run = await loadRun(file('q\vQ0\f d\u00a0e \r 1 2 t\n'));
    expect(run.queries.get('q')?.[0]?.documentId).toBe('d\u00a0e');
  });

  it('that are empty or no UTF-8 are errors', async () => {
    await expect(loadRun(file('\n# nothing\n'))).rejects.toMatchObject({ code: 'ERR_DATA_RUN' });
    const latin1 = Uint8Array.from(Buffer.from('q Q0 a 1 2 t\nq Q0 \xe9 2 1 t\n', 'latin1'));
    await expect(collect(readRun(file(latin1)))).rejects.toMatchObject({
      code: 'ERR_DATA_RUN',
      message: expect.stringContaining(':2 is not valid UTF-8'),
    });
  });

  it('stream by query when the lines of a query stand together', async () => {
    const lines = 'q1 Q0 a 1 2 t\nq1 Q0 b 2 1 t\nq0 Q0 a 1 1 t\n';
    const queries = await collect(readRunByQuery(file(lines)));
    expect(queries.map(({ queryId, entries }) => [queryId, entries.map(({ documentId }) => documentId)])).toEqual([
      ['q1', ['a', 'b']],
      ['q0', ['a']],
    ]);
    await expect(collect(readRunByQuery(file(`${lines}q1 Q0 c 3 0 t\n`)))).rejects.toEqual(
      at('ERR_DATA_RUN', 4, 'query id comes back'),
    );
    await expect(collect(readRunByQuery(file(`${lines}q0 Q0 a 2 0 t\n`)))).rejects.toEqual(
      at('ERR_DATA_RUN', 4, 'document id comes twice'),
    );
  });

  it('of MS MARCO score by minus the rank', async () => {
    const path = file('7 100 1\n7\t101\t2\n');
    const run = await loadRun(path, readMsMarcoRun(path));
    expect(run.queries.get('7')?.map(({ score }) => score)).toEqual([-1, -2]);
    await expect(collect(readMsMarcoRun(file('7 100 first')))).rejects.toEqual(at('ERR_DATA_RUN', 1, 'rank'));
    await expect(collect(readMsMarcoRun(file('7 Q0 1 1 2 t')))).rejects.toMatchObject({ hint: /TREC run/ });
  });
});

describe('writing runs', () => {
  it('gives scores that are distinct and decrease as float32', async () => {
    const path = join(folder, 'deep', 'written.run');
    const documentIds = Array.from({ length: 3000 }, (_, index) => `d${index}`);
    // Equal, nearly equal and distinct scores.
    const scores = documentIds.map((_, index) => 1 - 1e-9 * index - (index > 2000 ? 1 : 0));
    await writeRun(
      path,
      [
        { queryId: 'q', documentIds, scores },
        { queryId: 'p', documentIds: ['x', 'y'] },
      ],
      { tag: 'me' },
    );
    const run = await loadRun(path);
    const read = run.queries.get('q') ?? [];
    expect(read.map(({ documentId }) => documentId)).toEqual(documentIds);
    for (let i = 1; i < read.length; i++) {
      expect(Math.fround(read[i]?.score as number)).toBeLessThan(Math.fround(read[i - 1]?.score as number));
    }
    expect(Math.abs((read[2500]?.score as number) - (scores[2500] as number))).toBeLessThan(1e-3);
    expect(readFileSync(path, 'utf8')).toMatch(/p Q0 x 1 2 me\np Q0 y 2 1 me\n$/);
    expect(readdirSync(join(folder, 'deep'))).toEqual(['written.run']);
  });

  it('steps to the next float32 across zero, and refuses what does not fit', () => {
    const below = 1 - 2 ** -24;
    expect(strictlyDecreasingScores([1, 1, 1])).toEqual([1, below, below - 2 ** -24]);
    expect(strictlyDecreasingScores([2 ** -149, 0, 0, -0])).toEqual([2 ** -149, 0, -(2 ** -149), -(2 ** -148)]);
    expect(strictlyDecreasingScores([-1, -1])).toEqual([-1, -1 - 2 ** -23]);
    for (const scores of [[1, 2], [Number.NaN], [1e39], [1, Number.NEGATIVE_INFINITY]]) {
      expect(() => strictlyDecreasingScores(scores)).toThrow(expect.objectContaining({ code: 'ERR_DATA_RUN' }));
    }
  });

  it.each([
    [{ queryId: 'a b', documentIds: ['d'] }, /query id/],
    [{ queryId: '#1', documentIds: ['d'] }, /query id/],
    [{ queryId: 'q', documentIds: ['d\t'] }, /document id/],
    [{ queryId: 'q', documentIds: [''] }, /document id/],
    [{ queryId: 'q', documentIds: ['d', 'd'] }, /comes twice/],
    [{ queryId: 'q', documentIds: ['d'], scores: [] }, /scores/],
  ])('refuses %j', (query, message) => {
    expect(() => formatRunLines(query)).toThrow(message);
  });

  it('leaves what was there when it fails, and refuses a query twice', async () => {
    const path = file('old');
    const query = { queryId: 'q', documentIds: ['d'] };
    await expect(writeRun(path, [query, query])).rejects.toMatchObject({ code: 'ERR_DATA_RUN' });
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(() => formatRunLines(query, 'two words')).toThrow(/run tag/);
  });
});

describe('qrels', () => {
  it('are read with negative and graded judgements, and written back', async () => {
    const path = file('q1 0 a 3\r\nq1\t0\tb\t-1\r\n\r\n# no\r\nq2 Q0 a 0');
    const qrels = await loadQrels(path);
    expect([...qrels].map(([id, grades]) => [id, [...grades]])).toEqual([
      [
        'q1',
        [
          ['a', 3],
          ['b', -1],
        ],
      ],
      ['q2', [['a', 0]]],
    ]);
    const copy = join(folder, 'copy.qrels');
    await writeQrels(copy, qrels);
    expect(await loadQrels(copy)).toEqual(qrels);
    await expect(writeQrels(copy, new Map([['q', new Map([['a b', 1]])]]))).rejects.toMatchObject({
      received: '"a b"',
    });
    await expect(writeQrels(copy, new Map([['q', new Map([['a', 0.5]])]]))).rejects.toMatchObject({
      received: '"0.5"',
    });
  });

  it.each([
    ['query iter doc rel\nq 0 a 1', 1, 'relevance is no integer', /no header/],
    ['query-id\tcorpus-id\tscore\nq\ta\t1', 1, 'relevance is missing', /BEIR/],
    ['q 0 a 1\nq 0 b', 2, 'relevance is missing', /BEIR/],
    ['q 0 a 1\nq 0 b 1.5', 2, 'relevance is no integer', undefined],
    ['q 0 a 1 x', 1, 'a fifth field is too many', /no header/],
    ['q 0 a 1\nq 0 a 2', 2, 'document id is judged twice', undefined],
  ])('that are broken name line and field: %j', async (content, line, field, hint) => {
    const error = await loadQrels(file(content)).catch((cause) => cause);
    expect(error).toEqual(at('ERR_DATA_QRELS', line, field));
    if (hint) expect(error.hint).toMatch(hint);
  });

  it('of BEIR need their header', async () => {
    const good = 'query-id\tcorpus-id\tscore\r\nq 1\td\t2\r\nq 1\te\t0\r\n';
    expect([...((await loadBeirQrels(file(good))).get('q 1') ?? [])]).toEqual([
      ['d', 2],
      ['e', 0],
    ]);
    for (const [content, line, field] of [
      ['q\td\t2\n', 1, 'query-id is not in the header'],
      ['query-id\tcorpus-id\tscore\nq\td\n', 2, 'score is missing'],
      ['query-id\tcorpus-id\tscore\nq\t\t1\n', 2, 'corpus-id is missing'],
      ['query-id\tcorpus-id\tscore\nq\td\tx\n', 2, 'score is no integer'],
      ['query-id\tcorpus-id\tscore\nq\td\t1\nq\td\t1\n', 3, 'document id is judged twice'],
    ] as const) {
      await expect(loadBeirQrels(file(content))).rejects.toEqual(at('ERR_DATA_QRELS', line, field));
    }
    await expect(loadBeirQrels(file('query-id\tcorpus-id\tscore\n'))).rejects.toThrow(/holds no judgements/);
    await expect(loadQrels(file(''))).rejects.toThrow(/holds no judgements/);
  });
});
