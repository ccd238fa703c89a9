import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  makePassageTask,
  openPassageSource,
  type PassageOptions,
  type PassageTaskName,
} from '../../lib/tasks/index.js';
import type { RankingInstance } from '../../lib/types.js';

const shared = join(import.meta.dirname, '../../../shared/data/passage');
const fixtures = join(import.meta.dirname, '../fixtures/parquet');
const scratch = mkdtempSync(join(tmpdir(), 'winnow-passages-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function folderOf(files: Readonly<Record<string, string | readonly object[]>>): string {
  const folder = mkdtempSync(join(scratch, 'source-'));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    const text = typeof content === 'string' ? content : content.map((row) => `${JSON.stringify(row)}\n`).join('');
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

async function build(task: PassageTaskName, folder: string, options: Partial<PassageOptions> = {}) {
  return makePassageTask(task, await openPassageSource(folder), { seed: 1, ...options });
}

const targetOf = ({ candidates, relevance }: RankingInstance): string =>
  candidates
    .filter((_, index) => relevance[index] === 1)
    .map(({ text }) => text)
    .join(' + ');
const documentsOf = ({ meta }: RankingInstance): string[] =>
  (meta as { readonly documentIds: readonly string[] }).documentIds.slice().sort();

describe('Passage-N from MS MARCO Parquet', () => {
  it('takes lists of that length with one selected passage, and says why the others are none', async () => {
    const { train, test, card } = await build('Passage-5', join(fixtures, 'ms-marco'));
    expect(train.map(({ id }) => id).sort()).toEqual([1, 2, 3, 4, 5, 6].map((n) => `Passage-5/${n}`));
    expect(test.map(({ id }) => id).sort()).toEqual([21, 22, 23].map((n) => `Passage-5/${n}`));
    for (const instance of [...train, ...test]) {
      const number = Number(instance.id.split('/')[1]);
      expect(instance.context).toBe(`query ${number}`);
      expect(targetOf(instance)).toBe(`text ${number} ${number % 5} words`);
      expect(instance.candidates.map(({ id }) => id)).toEqual([0, 1, 2, 3, 4].map((place) => `passage ${place}`));
      expect(documentsOf(instance)).toEqual([0, 1, 2, 3, 4].map((place) => `${number}#${place}`));
    }
    expect(new Set([...train, ...test].map(({ relevance }) => relevance.indexOf(1))).size).toBeGreaterThan(1);
    expect(card).toMatchObject({
      counts: {
        queries: 15,
        ofAnotherSize: 1,
        withoutRelevant: 1,
        withSeveralRelevant: 1,
        tooLong: 1,
        withTooFewNegatives: 1,
      },
      duplicates: { passagesOfEqualTextLeftOut: 1, testQueriesAlsoInTrainingDropped: 1 },
      checks: { queriesOnBothSides: 0, itemSetsOnBothSides: 0 },
    });
    const seven = await build('Passage-7', join(fixtures, 'ms-marco'));
    expect([seven.train.length, seven.test.length]).toEqual([1, 0]);
    await expect(build('Passage-9', join(fixtures, 'ms-marco'))).rejects.toMatchObject({ code: 'ERR_TASK_DATA' });
  });

  it('draws as many queries a side as asked, and the same ones for the same seed', async () => {
    const ids = async (options: Partial<PassageOptions>) =>
      (await build('Passage-5', join(fixtures, 'ms-marco'), options)).train.map(({ id }) => id);
    expect((await ids({ queries: 2 })).length).toBe(2);
    expect(await ids({ queries: 2 })).toEqual(await ids({ queries: 2 }));
    expect(
      new Set((await Promise.all([1, 2, 3, 4].map((seed) => ids({ queries: 2, seed })))).flat()).size,
    ).toBeGreaterThan(2);
  });
});

describe('Rank-R1 sets from Tevatron rows', () => {
  it('have the first positive and up to 19 negatives, never another positive', async () => {
    const { train, test, card } = await build('rank-r1', join(fixtures, 'tevatron'), { testShare: 0.2 });
    expect([train.length, test.length]).toEqual([4, 1]);
    const all = [...train, ...test];
    expect(all.map(({ candidates }) => candidates.length).sort()).toEqual([20, 20, 20, 4, 4]);
    for (const instance of all) {
      const row = Number(instance.id.slice('rank-r1/q'.length));
      expect(targetOf(instance)).toBe(`Title ${100 * row} text of ${100 * row}`);
      expect(documentsOf(instance)).not.toContain(`d${100 * row + 1}`);
    }
    expect(card).toMatchObject({ source: { format: 'tevatron' }, counts: { candidates: { fewest: 4, most: 20 } } });
  });

  it('read JSON Lines too, with text that looks like an answer or a label as it is', async () => {
    const row = (id: string) => ({
      query_id: id,
      query: `question ${id} [3]`,
      positive_passages: [{ docid: 'a', text: 'see <answer>[1]</answer>' }],
      negative_passages: [{ docid: 'b', title: '[3]', text: 'no' }],
    });
    const { train } = await build('rank-r1', folderOf({ 'train.jsonl': [row('1'), row('2'), row('3')] }));
    expect(train[0]?.candidates.map(({ text }) => text).sort()).toEqual(['[3] no', 'see <answer>[1]</answer>']);
  });

  const good = {
    query_id: 1,
    query: 'q',
    positive_passages: [{ docid: 'a', text: 'A' }],
    negative_passages: [{ docid: 'b', text: 'B' }],
  };
  it.each([
    [{ ...good, query: undefined }, 'ERR_DATA_PASSAGES', /train\.jsonl:2: query/],
    [{ ...good, query: ' ' }, 'ERR_DATA_PASSAGES', /train\.jsonl:2: query is empty/],
    [{ ...good, positive_passages: 'x' }, 'ERR_DATA_PASSAGES', /train\.jsonl:2: positive_passages/],
    [
      { ...good, negative_passages: [{ docid: 'b' }] },
      'ERR_DATA_PASSAGES',
      /train\.jsonl:2: negative_passages\[0\]\.text/,
    ],
    [{ ...good, negative_passages: [{ text: 'b' }] }, 'ERR_DATA_PASSAGES', /negative_passages\[0\]\.docid/],
    [good, 'ERR_DATA_PASSAGES', /query 1 comes twice/],
  ])('refuse %j', async (row, code, message) => {
    await expect(build('rank-r1', folderOf({ 'train.jsonl': [good, row] }))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });
});

const beir = (): string =>
  folderOf({
    'corpus.jsonl': Array.from({ length: 30 }, (_, n) => ({
      _id: `d${n}`,
      title: `Title ${n}`,
      text: n < 20 ? 'red fish' : 'x',
    })),
    'queries.jsonl': [1, 2, 3, 4].map((n) => ({ _id: `q${n}`, text: `red fish number ${n}` })),
    'qrels/train.tsv': 'query-id\tcorpus-id\tscore\nq1\td0\t1\nq1\td1\t0\nq2\td2\t1\nq2\tgone\t1\n',
    'qrels/test.tsv': 'query-id\tcorpus-id\tscore\nq3\td3\t2\nq3\td4\t1\n',
  });

describe('BEIR folders', () => {
  it('give negatives of the BM25 ranking, or any, with the splits as sides', async () => {
    const hard = await build('Passage-5', beir());
    expect([hard.train.length, hard.test.length]).toEqual([2, 1]);
    for (const instance of [...hard.train, ...hard.test]) {
      for (const { text } of instance.candidates) expect(text).toMatch(/red fish/);
    }
    const q3 = hard.test[0] as RankingInstance;
    expect(['Title 3 red fish', 'Title 4 red fish']).toContain(targetOf(q3));
    expect(documentsOf(q3).filter((id) => id === 'd3' || id === 'd4').length).toBe(1);
    const random = await build('rank-r1', beir(), { hardNegatives: 'random', depth: 25 });
    expect(random.train.some(({ candidates }) => candidates.some(({ text }) => text.endsWith(' x')))).toBe(true);
    await expect(build('Passage-5', beir(), { unjudged: 'refuse' })).rejects.toMatchObject({ code: 'ERR_TASK_DATA' });
  });

  it('are refused without the query of a judgement', async () => {
    const folder = beir();
    writeFileSync(join(folder, 'qrels/train.tsv'), 'query-id\tcorpus-id\tscore\nq9\td0\t1\n');
    await expect(build('rank-r1', folder)).rejects.toMatchObject({ code: 'ERR_DATA_PASSAGES', received: 'q9' });
  });
});

const runOf = (query: number, documents: readonly number[]): string =>
  documents.map((n, rank) => `${query} Q0 d${n} ${rank + 1} ${9 - rank} tag\n`).join('');
const trec = {
  'run.bm25.txt': runOf(7, [0, 1, 2, 3, 4, 5, 6, 7]) + runOf(8, [7, 6, 5, 4, 3, 2, 1, 0]),
  'topics.tsv': '7\tfirst query\n8\tsecond query\n',
  'collection.tsv': Array.from({ length: 8 }, (_, n) => `d${n}\ttext ${n}\n`).join(''),
  'qrels.txt': '7 0 d0 1\n7 0 d3 3\n7 0 d4 0\n7 0 d5 0\n8 0 d1 2\n8 0 d2 1\n8 0 d6 0\n8 0 d7 1\n8 0 d0 0\n9 0 d1 3\n',
};

describe('TREC runs with judgements', () => {
  it('give judged negatives for Passage-N, and any of the run for Rank-R1', async () => {
    const { train, test, card } = await build('Passage-5', folderOf(trec));
    expect([...train, ...test].map(({ id }) => id)).toEqual(['Passage-5/8']);
    const [instance] = [...train, ...test] as [RankingInstance];
    expect(documentsOf(instance)).toEqual(['d0', 'd1', 'd2', 'd6', 'd7']);
    expect(targetOf(instance)).toBe('text 1');
    expect(card).toMatchObject({ source: { format: 'trec' }, counts: { queries: 2, withTooFewNegatives: 1 } });
    const ranked = await build('rank-r1', folderOf(trec), { depth: 5 });
    const q7 = [...ranked.train, ...ranked.test].find(({ id }) => id === 'rank-r1/7') as RankingInstance;
    expect(documentsOf(q7)).toEqual(['d0', 'd1', 'd2', 'd3', 'd4']);
    expect(targetOf(q7)).toBe('text 3');
    const lists = await build('rank-r1', folderOf(trec), { lists: 3, negatives: 2 });
    expect([lists.train.length, lists.test.length]).toEqual([3, 3]);
  });

  it.each([
    [{ 'topics.tsv': '7\tfirst query\n' }, /run\.bm25\.txt:9 names a query without a topic/],
    [{ 'collection.tsv': 'd0\ttext\n' }, /run\.bm25\.txt:2 names a document without a text/],
    [{ 'qrels.2.txt': '7 0 d0 2\n' }, /qrels\.txt contradicts|qrels\.2\.txt contradicts/],
  ])('refuse %j', async (change, message) => {
    await expect(build('rank-r1', folderOf({ ...trec, ...change }))).rejects.toMatchObject({
      message: expect.stringMatching(message),
    });
  });

  it('refuse folders that hold nothing of the kind', async () => {
    for (const files of [{}, { 'qrels.txt': '1 0 d 1\n' }, { 'a.jsonl': [{ x: 1 }] }, { 'a.jsonl': '' }]) {
      await expect(openPassageSource(folderOf(files))).rejects.toMatchObject({ code: 'ERR_DATA_SOURCE' });
    }
    await expect(openPassageSource(join(scratch, 'none'))).rejects.toMatchObject({ code: 'ERR_DATA_SOURCE' });
  });
});

describe('passage options', () => {
  it.each([
    { queries: 0 },
    { relevantFrom: 0.5 },
    { testShare: 1 },
    { unjudged: 'x' },
    { hardNegatives: 'x' },
    { lists: 0 },
  ])('refuse %j', async (option) => {
    await expect(build('rank-r1', beir(), option as Partial<PassageOptions>)).rejects.toMatchObject({
      code: 'ERR_TASK_OPTION',
    });
  });
});

describe('real sources', () => {
  it.skipIf(!existsSync(shared))('TREC DL (skipped without the data folder)', async () => {
    const { train, test, card } = await build('Passage-5', join(shared, 'trec-dl'), { lists: 10 });
    expect([train.length, test.length]).toEqual([740, 180]);
    expect(card).toMatchObject({ counts: { queries: 96 }, checks: { queriesOnBothSides: 0, itemSetsOnBothSides: 0 } });
  });
});
