import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadInstances } from '../../lib/data/instances.js';
import { readInteractions } from '../../lib/data/interactions.js';
import { buildTask, demonstrate, makeRecTask, makeSyntheticTask } from '../../lib/tasks/index.js';
import type { RankingInstance } from '../../lib/types.js';

const movieLens = join(import.meta.dirname, '../../../shared/data/rec/ml-100k');
const folder = mkdtempSync(join(tmpdir(), 'winnow-tasks-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Meta {
  readonly userId: string;
  readonly historyItemIds: readonly string[];
  readonly targetItemId: string;
}
const metaOf = (instance: RankingInstance): Meta => instance.meta as unknown as Meta;

/** 12 users x 8 items of 40; user u takes items u, u + 3, u + 6, ... at float times; every second pair of times is equal. */
function writeSource(name: string): string {
  const source = join(folder, name);
  mkdirSync(source);
  const items = Array.from(
    { length: 40 },
    (_, item) => `i${item}\t${item % 10 === 0 ? 'Same Title' : `Title ${item}`}`,
  );
  writeFileSync(join(source, 'toy.item'), `item_id:token\ttitle:token_seq\n${items.join('\n')}\n`);
  const events: string[] = [];
  for (let user = 0; user < 12; user++) {
    for (let k = 7; k >= 0; k--) events.push(`u${user}\ti${(user + 3 * k) % 40}\t${Math.floor(k / 2)}.5`);
  }
  writeFileSync(join(source, 'toy.inter'), `user_id:token\titem_id:token\ttimestamp:float\n${events.join('\n')}\n`);
  return source;
}
const source = writeSource('toy');
const small = { seed: 5, history: 4, negatives: 6, testShare: 0.25 };

describe('Rec-Movie', () => {
  it('takes the first items in the order of time, ties in the order of the file', async () => {
    const task = makeRecTask('Rec-Movie', await readInteractions(source), small);
    const instance = [...task.train, ...task.test].find(({ id }) => id === 'toy/u1') as RankingInstance;
    // The file lists k = 7 .. 0, so of two equal times the larger k comes first.
    const order = [1, 0, 3, 2, 5].map((k) => `i${(1 + 3 * k) % 40}`);
    expect(metaOf(instance).historyItemIds).toEqual(order.slice(0, 4));
    expect(metaOf(instance).targetItemId).toBe(order[4]);
    expect(instance.context).toBe('Title 4\nTitle 1\nSame Title\nTitle 7');
    const last = makeRecTask('Rec-Movie', await readInteractions(source), { ...small, window: 'last' });
    const lastInstance = [...last.train, ...last.test].find(({ id }) => id === 'toy/u1') as RankingInstance;
    expect(metaOf(lastInstance).targetItemId).toBe(`i${(1 + 3 * 6) % 40}`);
  });

  it('shows one target among negatives that the user never took', async () => {
    const data = await readInteractions(source);
    const task = makeRecTask('Rec-Movie', data, small);
    const places = new Set<number>();
    for (const instance of [...task.train, ...task.test]) {
      const { userId, targetItemId } = metaOf(instance);
      expect(instance.candidates.length).toBe(7);
      expect(new Set(instance.candidates.map(({ id }) => id)).size).toBe(7);
      const relevant = instance.candidates.filter((_, index) => (instance.relevance[index] ?? 0) > 0);
      expect(relevant.map(({ id }) => id)).toEqual([targetItemId]);
      places.add(instance.relevance.indexOf(1));
      const taken = data.sequences.get(userId) ?? [];
      for (const { id } of instance.candidates) expect(id === targetItemId || !taken.includes(id)).toBe(true);
    }
    expect(places.size).toBeGreaterThan(2);
  });

  it('makes several stretches per training user, and the one window per test user', async () => {
    const data = await readInteractions(source);
    const task = makeRecTask('Rec-Movie', data, { ...small, trainWindows: 3 });
    expect(task.test).toEqual(makeRecTask('Rec-Movie', data, small).test);
    expect(task.train.length).toBe(27);
    expect(new Set(task.train.map(({ id }) => id)).size).toBe(27);
    for (const instance of task.train) {
      const { userId, historyItemIds, targetItemId } = metaOf(instance);
      const sequence = data.sequences.get(userId) as readonly string[];
      const start = sequence.indexOf(historyItemIds[0] as string);
      expect([...historyItemIds, targetItemId]).toEqual(sequence.slice(start, start + 5));
    }
    expect(makeRecTask('Rec-Movie', data, { ...small, trainWindows: 99 }).train.length).toBe(9 * 4);
  });

  it('splits users before cases are made, and depends on the seed alone', async () => {
    const data = await readInteractions(source);
    const task = makeRecTask('Rec-Movie', data, small);
    expect(task.test.length).toBe(3);
    const trainUsers = new Set(task.train.map((instance) => metaOf(instance).userId));
    for (const instance of task.test) expect(trainUsers.has(metaOf(instance).userId)).toBe(false);
    expect(new Set(task.trainSequences.map(({ userId }) => userId))).toEqual(trainUsers);
    expect(makeRecTask('Rec-Movie', data, small)).toEqual(task);
    expect(makeRecTask('Rec-Movie', data, { ...small, seed: 6 }).test).not.toEqual(task.test);
    expect(makeRecTask('Rec-Movie', data, { ...small, users: 8 }).train.length).toBe(6);
  });

  it('writes train, test, sequences and a card', async () => {
    const output = join(folder, 'built');
    const card = await buildTask('Rec-Movie', { ...small, source, output });
    expect((await loadInstances(join(output, 'train.jsonl'))).length).toBe(9);
    expect((await loadInstances(join(output, 'test.jsonl'))).length).toBe(3);
    expect(JSON.parse(readFileSync(join(output, 'card.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(card)));
    expect(card).toMatchObject({
      counts: { users: 12, eligibleUsers: 12, items: 40, interactions: 96 },
      duplicates: { titlesOfSeveralItems: 1 },
      checks: { usersOnBothSides: 0, instancesWithAFalseNegative: 0, instancesWithTargetInHistory: 0 },
    });
    const sequences = readFileSync(join(output, 'train-sequences.jsonl'), 'utf8').trim().split('\n');
    expect(JSON.parse(sequences[0] as string)).toMatchObject({ itemIds: expect.any(Array) });
  });

  it('keeps the first of repeated interactions', async () => {
    const repeated = writeSource('repeated');
    writeFileSync(
      join(repeated, 'toy.inter'),
      'user_id:token\titem_id:token\ttimestamp:float\nu\ti1\t1\nu\ti2\t2\nu\ti1\t3\n',
    );
    const data = await readInteractions(repeated);
    expect(data.sequences.get('u')).toEqual(['i1', 'i2']);
    expect(data.repeatedCount).toBe(1);
  });

  it('reports data that it cannot use', async () => {
    const data = await readInteractions(source);
    const bad = (options: object): unknown => {
      try {
        return makeRecTask('Rec-Movie', data, { ...small, ...options });
      } catch (error) {
        return (error as { code?: string }).code;
      }
    };
    expect(bad({ history: 8 })).toBe('ERR_TASK_DATA');
    expect(bad({ users: 13 })).toBe('ERR_TASK_DATA');
    expect(bad({ negatives: 33 })).toBe('ERR_TASK_DATA');
    for (const option of [{ history: 0 }, { negatives: 1.5 }, { testShare: 1 }, { window: 'middle' }, { users: 1 }]) {
      expect(bad(option)).toBe('ERR_TASK_OPTION');
    }
    await expect(buildTask('Rec-Muvie', { seed: 1, output: folder })).rejects.toMatchObject({
      code: 'ERR_TASK_UNKNOWN',
      expected: expect.stringContaining('Rec-Movie'),
    });
    await expect(buildTask('Rec-Movie', { seed: 1, output: folder })).rejects.toMatchObject({
      code: 'ERR_DATA_SOURCE',
    });
    await expect(
      buildTask('Rec-Movie', { seed: 1, source: join(folder, 'none'), output: folder }),
    ).rejects.toMatchObject({
      code: 'ERR_DATA_SOURCE',
    });
    const untitled = writeSource('untitled');
    writeFileSync(join(untitled, 'toy.item'), 'item_id:token\ttitle:token_seq\ni1\tOne\n');
    await expect(readInteractions(untitled)).rejects.toMatchObject({
      code: 'ERR_DATA_RECBOLE',
      message: expect.stringMatching(/toy\.inter:\d+ names an item without a title/),
    });
  });

  it.skipIf(!existsSync(movieLens))('builds MovieLens 100K (skipped without the data folder)', async () => {
    const { card, train, test } = makeRecTask('Rec-Movie', await readInteractions(movieLens), { seed: 1 });
    expect(card).toMatchObject({
      counts: { users: 943, items: 1682, interactions: 100000, eligibleUsers: 911 },
      checks: { usersOnBothSides: 0, instancesWithAFalseNegative: 0, instancesWithTargetInHistory: 0 },
    });
    expect([train.length, test.length]).toEqual([729, 182]);
    for (const instance of test) {
      expect(instance.candidates.length).toBe(20);
      expect(instance.context.split('\n').length).toBe(20);
    }
  });
});

describe('the synthetic task', () => {
  const task = makeSyntheticTask({ seed: 3, users: 200 });
  const genresOf = (instance: RankingInstance) => instance.meta?.genres as Record<string, string>;

  it('has one target, the only candidate of the liked genre, at any place', () => {
    const places = new Set<number>();
    for (const instance of [...task.train, ...task.test]) {
      const genres = genresOf(instance);
      const liked = instance.candidates.filter(({ id }) => genres[id] === instance.meta?.likedGenre);
      expect(liked.map(({ id }) => id)).toEqual([metaOf(instance).targetItemId]);
      places.add(instance.relevance.indexOf(1));
      expect(metaOf(instance).historyItemIds).not.toContain(metaOf(instance).targetItemId);
      expect(new Set(metaOf(instance).historyItemIds).size).toBe(6);
    }
    expect(places.size).toBe(8);
    expect(task.test.length).toBe(50);
  });

  it('tells a genre by exactly one of the two words of a title', () => {
    const genresOfWord = new Map<string, Set<string>>();
    for (const instance of [...task.train, ...task.test]) {
      for (const { id, text } of instance.candidates) {
        const words = text.split(' ');
        expect(words.length).toBe(2);
        for (const word of words) {
          const genres = genresOfWord.get(word) ?? new Set();
          genresOfWord.set(word, genres.add(genresOf(instance)[id] as string));
        }
      }
    }
    const telling = [...genresOfWord.values()].filter((genres) => genres.size === 1).length;
    expect(telling).toBe(24);
    expect(genresOfWord.size).toBe(48);
  });

  it('is seeded, and leaves other users alone when there are more of them', () => {
    expect(makeSyntheticTask({ seed: 3, users: 200 })).toEqual(task);
    expect(makeSyntheticTask({ seed: 4, users: 200 }).test).not.toEqual(task.test);
    const more = makeSyntheticTask({ seed: 3, users: 220, testShare: 50 / 220 });
    expect(more.test).toEqual(task.test);
    expect(task.card).toMatchObject({ checks: { usersOnBothSides: 0 } });
  });

  it('demonstrates with true genres and, uncorrupted, true verdicts', () => {
    const instance = task.train[0] as RankingInstance;
    const labels = new Map(instance.candidates.map(({ id }, index) => [String.fromCharCode(65 + index), id]));
    const genres = genresOf(instance);
    const target = metaOf(instance).targetItemId;
    const { thought, answerId } = demonstrate(instance, { labels }, { corruptShare: 0, seed: 1 });
    const expected = [...labels].map(([label, id]) => ` [${label}] ${genres[id]} ${id === target ? 'keep' : 'drop'} ;`);
    expect(thought).toBe(` likes ${instance.meta?.likedGenre} ;${expected.join('')}`);
    expect(answerId).not.toBe(target);
  });

  it('corrupts the wanted share of the cases, verdicts only, and answers by the verdicts', () => {
    let wrong = 0;
    for (const instance of task.train) {
      const labels = new Map(instance.candidates.map(({ id }, index) => [String(index + 1), id]));
      const { thought, answerId } = demonstrate(instance, { labels }, { corruptShare: 0.68, seed: 2 });
      const clean = demonstrate(instance, { labels }, { corruptShare: 0, seed: 2 }).thought;
      const genresOnly = (text: string): string => text.replace(/ (keep|drop) ;/g, '');
      expect(genresOnly(thought)).toBe(genresOnly(clean));
      if (thought !== clean) wrong++;
      const verdict = new RegExp(`\\[${[...labels].find(([, id]) => id === answerId)?.[0]}\\] \\w+ (\\w+)`).exec(
        thought,
      );
      expect(verdict?.[1] === 'drop' || !thought.includes('drop')).toBe(true);
    }
    expect(wrong / task.train.length).toBeGreaterThan(0.58);
    expect(wrong / task.train.length).toBeLessThan(0.78);
  });

  it('builds from the registry, and refuses options that cannot be', async () => {
    const output = join(folder, 'synthetic');
    await buildTask('synthetic', { seed: 1, users: 20, output });
    expect((await loadInstances(join(output, 'test.jsonl'))).length).toBe(5);
    for (const option of [{ users: 1 }, { genres: 11 }, { candidates: 1 }, { itemsPerGenre: 500 }, { fidelity: 0 }]) {
      expect(() => makeSyntheticTask({ seed: 1, users: 10, ...option })).toThrow(
        expect.objectContaining({ code: 'ERR_TASK_OPTION' }),
      );
    }
    const foreign = { ...(task.train[0] as RankingInstance), meta: {} };
    expect(() => demonstrate(foreign, { labels: new Map() }, { corruptShare: 0, seed: 1 })).toThrow(/tells no genres/);
  });
});
