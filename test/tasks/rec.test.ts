import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readInteractions } from '../../lib/data/interactions.js';
import { buildTask, makeRecTask } from '../../lib/tasks/index.js';

const shared = join(import.meta.dirname, '../../../shared/data/rec');
const scratch = mkdtempSync(join(tmpdir(), 'winnow-rec-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(scratch, 'source-'));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

const items = `item_id:token\ttitle:token_seq\n${Array.from({ length: 40 }, (_, item) => `${item}\tItem ${item} &amp; Co`).join('\n')}\n`;
const header = 'user_id:token\titem_id_list:token_seq\titem_id:token\n';
const lists = `${header}u1\t0 1 2\t3\nu2\t4 5 6\t7\nu3\t8 9 10 8\t11\nu4\t1 3 5\t9\r\n`;

describe('history lists', () => {
  it('are the sequences, target last, and titles lose their HTML entities', async () => {
    const data = await readInteractions(folderOf({ 'shop.item': items, 'histories.inter': lists }));
    expect(data.name).toBe('shop');
    expect(data.sequences.get('u1')).toEqual(['0', '1', '2', '3']);
    expect(data.sequences.get('u3')).toEqual(['8', '9', '10', '11']);
    expect([data.interactionCount, data.repeatedCount]).toEqual([17, 1]);
    expect(data.titles.get('7')).toBe('Item 7 & Co');
    const task = makeRecTask('Rec-Game', data, { seed: 1, history: 3, negatives: 5 });
    const all = [...task.train, ...task.test];
    expect(all.map(({ task: name }) => name)).toEqual(['Rec-Game', 'Rec-Game', 'Rec-Game', 'Rec-Game']);
    expect(all.find(({ id }) => id === 'shop/u2')?.context).toBe('Item 4 & Co\nItem 5 & Co\nItem 6 & Co');
    expect(all.find(({ id }) => id === 'shop/u2')?.meta?.targetItemId).toBe('7');
  });

  it('of several files are one sequence a user, the longest', async () => {
    const folder = folderOf({
      'shop.item': items,
      'a.train.inter': `${header}u1\t0\t1\nu1\t0 1\t2\nu2\t4\t5\n`,
      'a.test.inter': `${header}u1\t0 1 2\t3\nu2\t4 5\t6\n`,
    });
    const data = await readInteractions(folder);
    expect([...data.sequences]).toEqual([
      ['u1', ['0', '1', '2', '3']],
      ['u2', ['4', '5', '6']],
    ]);
  });

  it.each([
    [{ 'b.inter': `${header}u1\t0 9\t3\n` }, 'ERR_DATA_RECBOLE', /b\.inter:2 contradicts .*a\.inter:2/],
    [{ 'b.inter': `${header}u9\t\t3\n` }, 'ERR_DATA_RECBOLE', /b\.inter:2 has an empty item_id_list/],
    [{ 'b.inter': `${header}u9\t1 2\t \n` }, 'ERR_DATA_RECBOLE', /b\.inter:2 has an empty item_id/],
    [{ 'b.inter': `${header}u9\t1 99\t3\n` }, 'ERR_DATA_RECBOLE', /b\.inter:2 names an item without a title/],
    [
      { 'b.inter': 'user_id:token\titem_id:token\ttimestamp:float\nu9\t1\t3\n' },
      'ERR_DATA_SOURCE',
      /mixes events and history lists/,
    ],
    [{ 'x.random': 'u1 3 4\n' }, 'ERR_DATA_RECBOLE', /x\.random:1 is no candidate list/],
    [{ 'x.random': 'u1\t3\nu1\t4\n' }, 'ERR_DATA_RECBOLE', /x\.random:2 is no candidate list/],
  ])('with %j beside are refused', async (more, code, message) => {
    const folder = folderOf({ 'shop.item': items, 'a.inter': `${header}u1\t0 1\t2\n`, ...(more as object) });
    await expect(readInteractions(folder)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('give negatives from candidate lists, never the own items', async () => {
    const random = ['u1', 'u2', 'u3', 'u4'].map((user) => `${user}\t3 7 11 9 20 21 22 23 24`).join('\n');
    const folder = folderOf({ 'shop.item': items, 'a.inter': lists, 'a.random': random });
    const data = await readInteractions(folder);
    const task = makeRecTask('Rec-Music', data, { seed: 1, history: 3, negatives: 4, negativesFrom: 'lists' });
    const u1 = [...task.train, ...task.test].find(({ id }) => id === 'shop/u1');
    expect(u1?.candidates.map(({ id }) => id).sort()).toEqual(['11', '20', '3', '7', '9']);
    expect(() => makeRecTask('Rec-Music', data, { seed: 1, history: 3, negatives: 9, negativesFrom: 'lists' })).toThrow(
      expect.objectContaining({ code: 'ERR_TASK_DATA', expected: expect.stringContaining('of the candidate list') }),
    );
  });

  it('that are too short say which history would fit', async () => {
    const data = await readInteractions(folderOf({ 'shop.item': items, 'a.inter': lists }));
    expect(() => makeRecTask('Rec-Music', data, { seed: 1 })).toThrow(
      expect.objectContaining({ code: 'ERR_TASK_DATA', hint: 'a history of at most 3 fits' }),
    );
  });
});

describe('an option of another task', () => {
  it.each([
    ['synthetic', { negatives: 3 }],
    ['synthetic', { source: 'x' }],
    ['Rec-Movie', { genres: 3 }],
    ['Rec-Game', { costWeight: 1 }],
    ['Router-Cost', { history: 3 }],
    ['Passage-5', { negatives: 3 }],
    ['rank-r1', { users: 3 }],
    ['ranking-bench', { seed: 3 }],
  ] as const)('is refused by %s: %j', async (task, option) => {
    await expect(buildTask(task, { output: join(scratch, 'none'), ...option })).rejects.toMatchObject({
      code: 'ERR_TASK_OPTION',
      message: expect.stringContaining(`${Object.keys(option)[0]} does not apply to ${task}`),
    });
    expect(existsSync(join(scratch, 'none'))).toBe(false);
  });

  it('is no error when it is undefined', async () => {
    await buildTask('synthetic', { output: join(scratch, 'made'), users: 8, negatives: undefined as never });
    expect(JSON.parse(readFileSync(join(scratch, 'made', 'card.json'), 'utf8'))).toMatchObject({
      task: 'synthetic',
      settings: { seed: 0, users: 8 },
      checks: { usersOnBothSides: 0, itemSetsOnBothSides: 0 },
      lengths: { words: { candidate: { p50: 2, max: 2 } } },
    });
  });
});

describe('real sources', () => {
  it.skipIf(!existsSync(shared))('Rec-Game and Rec-Music (skipped without the data folder)', async () => {
    const games = makeRecTask('Rec-Game', await readInteractions(join(shared, 'games')), { seed: 1 });
    expect(games.card).toMatchObject({
      counts: { users: 1213, eligibleUsers: 1213, items: 16859, trainInstances: 970, testInstances: 243 },
      checks: { usersOnBothSides: 0, historiesOnBothSides: 0, itemSetsOnBothSides: 0, instancesWithAFalseNegative: 0 },
    });
    const data = await readInteractions(join(shared, 'cds'));
    for (const negativesFrom of ['items', 'lists'] as const) {
      const music = makeRecTask('Rec-Music', data, { seed: 1, history: 7, negativesFrom });
      expect(music.card).toMatchObject({
        counts: {
          users: 100,
          items: 64031,
          trainInstances: 80,
          testInstances: 20,
          candidates: { fewest: 20, most: 20 },
        },
        checks: { usersOnBothSides: 0, historiesOnBothSides: 0, instancesWithAFalseNegative: 0 },
      });
    }
  });
});
