import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadInstances } from '../../lib/data/index.js';
import { buildTask, readRankingBench } from '../../lib/tasks/index.js';
import type { RankingInstance } from '../../lib/types.js';

const fixtures = join(import.meta.dirname, '../fixtures/parquet/ranking-bench');
const scratch = mkdtempSync(join(tmpdir(), 'winnow-bench-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function folderOf(files: Readonly<Record<string, readonly object[]>>): string {
  const folder = mkdtempSync(join(scratch, 'source-'));
  for (const [name, rows] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    const text = name.endsWith('.json') ? JSON.stringify(rows) : rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

const rec = {
  problem:
    "I've watched the following movies in the past, in order:\n['0. It's Heat', '1. A', '2. B, 'C'']\n\n" +
    "Now there are 20 candidate movies that I might watch next:\n['3. X', '0. Y']\n\nPlease select",
  candidates: ['X', 'Y', 'Heat &amp; Dust'],
  gt: 'Heat & Dust',
  task_name: 'Rec-Movie',
};
const router = {
  problem:
    '# The LLM names and their discriptions are:\n# a (7b): Each token price is 0.2. Small.\n# b: Each token price is 0.9. Big.\n' +
    "## Here is a query: what is Here is a query: 1? and LLM condidates: ['a (7b)', 'b']. Please think step by step",
  candidates: ['a (7b)', 'b'],
  gt: 'b',
  task_name: 'Router-Cost',
};
const passageText =
  '## Here is a query: how tall and candidate passages:\npassage 0: one\npassage 0 goes on\npassage 2: Please think step by step?\n' +
  'passage 1: two\n\nPlease think step by step according to the content';
const passage = {
  problem: passageText,
  candidates: ['passage 0', 'passage 1', 'passage 2'],
  gt: 'passage 2',
  task_name: 'Passage-5',
};

async function read(row: object): Promise<RankingInstance> {
  const { train } = await readRankingBench(folderOf({ 'train.jsonl': [row] }), {});
  return train[0] as RankingInstance;
}

describe('Ranking-bench rows', () => {
  it('of recommendation: the history out of the hand-written list, names as candidates', async () => {
    const instance = await read(rec);
    expect(instance.context.split('\n')).toEqual(["It's Heat", 'A', "B, 'C'"]);
    expect(instance.candidates.map(({ id }) => id)).toEqual(['X', 'Y', 'Heat &amp; Dust']);
    expect(instance.relevance).toEqual([0, 0, 1]);
    const twins = await read({ ...rec, candidates: ['X', 'X', 'Y'], gt: 'X' });
    expect(twins.candidates.map(({ id }) => id)).toEqual(['X', 'X #2', 'Y']);
    expect(twins.relevance).toEqual([1, 1, 0]);
  });

  it('of routing: the query alone, with its objective and the descriptions', async () => {
    const instance = await read(router);
    expect(instance.context).toBe(
      'Objective: low cost counts more than quality (score = 0.2 x quality - 0.8 x cost, both from 0 to 1)\n' +
        'what is Here is a query: 1?',
    );
    expect(instance.candidates).toEqual([
      { id: 'a (7b)', text: 'a (7b): Each token price is 0.2. Small.' },
      { id: 'b', text: 'b: Each token price is 0.9. Big.' },
    ]);
    expect(instance.relevance).toEqual([0, 1]);
    expect(instance.meta?.query).toBe('what is Here is a query: 1?');
  });

  it('of passages: ids or texts as candidates, several lines, forged words inside a text', async () => {
    const expected = [
      { id: 'passage 0', text: 'one\npassage 0 goes on' },
      { id: 'passage 1', text: 'two' },
      { id: 'passage 2', text: 'Please think step by step?' },
    ];
    const byId = await read(passage);
    expect(byId.context).toBe('how tall');
    expect(byId.candidates).toEqual(expected);
    expect(byId.relevance).toEqual([0, 0, 1]);
    const byText = { ...passage, candidates: expected.map(({ text }) => text) };
    expect(await read(byText)).toEqual({ ...byId, id: byId.id });
    expect((await read({ ...byText, gt: 'two' })).relevance).toEqual([0, 1, 0]);
    // A subset, as the iterative configuration has them.
    expect((await read({ ...passage, candidates: ['passage 2', 'passage 1'] })).candidates.map(({ id }) => id)).toEqual(
      ['passage 2', 'passage 1'],
    );
  });

  it('in Parquet, in the folder of the configuration', async () => {
    const { train } = await readRankingBench(fixtures, { config: 'direct' });
    expect(train[0]?.candidates).toEqual([
      { id: 'passage 0', text: 'one\npassage 7: no passage here' },
      { id: 'passage 1', text: 'two' },
    ]);
  });

  it.each([
    [{ ...rec, problem: 'x' }, /train\.jsonl:1: problem has not the words/],
    [{ ...rec, gt: 'Z' }, /train\.jsonl:1: gt is none of the candidates/],
    [{ ...rec, candidates: ['X'] }, /candidates are too few/],
    [{ ...rec, candidates: [] }, /candidates are too few/],
    [{ ...rec, candidates: ['X', 3] }, /candidates\[1\]/],
    [{ ...rec, task_name: 'Rec' }, /task_name is unknown/],
    [{ ...rec, task_name: 'Router-Speed' }, /task_name is unknown/],
    [{ ...rec, problem: undefined }, /problem/],
    [{ ...passage, candidates: ['passage 0', 'passage 9'] }, /candidates\[1\] is no passage of the problem/],
    [{ ...passage, candidates: ['one', 'two', 'two'] }, /candidates\[0\] is no passage of the problem/],
    ['x', /row/],
  ])('refuses %j', async (row, message) => {
    await expect(read(row as object)).rejects.toMatchObject({
      code: 'ERR_DATA_RANKING_BENCH',
      message: expect.stringMatching(message),
    });
  });

  it('are built as they are; the card tells what is on both sides', async () => {
    const source = folderOf({
      'direct/train.json': [rec, router],
      'direct/test.json': [rec, passage],
      'iterative/train.jsonl': [router],
    });
    const output = join(scratch, 'built');
    const card = await buildTask('ranking-bench', { source, output });
    expect(card).toMatchObject({
      counts: {
        instancesOfTask: { 'Rec-Movie': 2, 'Router-Cost': 1, 'Passage-5': 1 },
        trainInstances: 2,
        testInstances: 2,
      },
      checks: { contextsOnBothSides: 1, itemSetsOnBothSides: 1 },
    });
    const ids = (await loadInstances(join(output, 'train.jsonl'))).map(({ id }) => id);
    expect(ids).toEqual(['direct/train.json/1', 'direct/train.json/2']);
    const iterative = await readRankingBench(source, { config: 'iterative' });
    expect([iterative.train.length, iterative.test.length]).toEqual([1, 0]);
    await expect(readRankingBench(folderOf({}), {})).rejects.toMatchObject({ code: 'ERR_DATA_SOURCE' });
    await expect(readRankingBench(source, { config: 'x' as never })).rejects.toMatchObject({ code: 'ERR_TASK_OPTION' });
  });
});
