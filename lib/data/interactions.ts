import { basename, join } from 'node:path';
import { WinnowError } from '../errors.js';
import { decodeHtmlEntities } from '../text/html-entities.js';
import { holdsHistoryLists, readCandidateLists, readHistoryLists } from './history-lists.js';
import { listFolder } from './reading.js';
import { openRecboleFile } from './recbole.js';

/** Who took what in which order, and the titles of the things. */
export interface Interactions {
  /** Name of the data set: the stem of its .inter file, or of its .item file for history lists. */
  readonly name: string;
  /** In the order of the .item file; HTML entities are decoded. */
  readonly titles: ReadonlyMap<string, string>;
  /** Item ids by user, oldest first; equal timestamps keep the order of the file; an item's first occurrence counts. */
  readonly sequences: ReadonlyMap<string, readonly string[]>;
  readonly interactionCount: number;
  /** Later occurrences of an item at the same user, dropped. */
  readonly repeatedCount: number;
  /** Item ids by user from the folder's one *.random file, where it has one. */
  readonly candidateLists?: ReadonlyMap<string, readonly string[]>;
}

function onlyFileEndingIn(folder: string, names: readonly string[], ending: string): string {
  const matching = names.filter((name) => name.endsWith(ending));
  if (matching.length !== 1) {
    throw new WinnowError('ERR_DATA_SOURCE', `${folder} does not hold exactly one *${ending} file`, {
      expected: `one *${ending} file`,
      received: matching.join(', ') || 'none',
    });
  }
  return matching[0] as string;
}

async function readTitles(path: string): Promise<Map<string, string>> {
  const table = await openRecboleFile(path);
  const idColumn = table.column('item_id');
  const titleColumn = table.columns.findIndex(({ name }) => name === 'title' || name.endsWith('_title'));
  if (titleColumn === -1) {
    throw new WinnowError('ERR_DATA_RECBOLE', `${path}:1 has no column of titles`, {
      expected: 'a column title or *_title',
      received: table.columns.map(({ name }) => name).join(', '),
    });
  }
  const titles = new Map<string, string>();
  for await (const { line, fields } of table.rows) {
    const id = fields[idColumn] as string;
    const title = decodeHtmlEntities(fields[titleColumn] as string).trim();
    if (titles.has(id)) {
      throw new WinnowError('ERR_DATA_RECBOLE', `${path}:${line} repeats an item`, {
        expected: 'distinct item ids',
        received: id,
      });
    }
    if (title === '') {
      throw new WinnowError('ERR_DATA_RECBOLE', `${path}:${line} has no title`, { expected: 'a title', received: id });
    }
    titles.set(id, title);
  }
  return titles;
}

type CheckItem = (item: string, where: string) => void;

/** Items by user in the order of time, from one event a row. */
async function readEvents(path: string, checkItem: CheckItem): Promise<Map<string, readonly string[]>> {
  const table = await openRecboleFile(path);
  const userColumn = table.column('user_id');
  const itemColumn = table.column('item_id');
  const timeColumn = table.column('timestamp');
  const events = new Map<string, { item: string; time: number }[]>();
  for await (const row of table.rows) {
    const user = row.fields[userColumn] as string;
    const item = row.fields[itemColumn] as string;
    checkItem(item, `${path}:${row.line}`);
    const ofUser = events.get(user) ?? [];
    events.set(user, ofUser);
    ofUser.push({ item, time: table.float(row, timeColumn) });
  }
  // Array sort is stable (ECMAScript 2019), so ties in time keep the order of the file.
  return new Map(
    [...events].map(([user, list]) => [user, list.sort((a, b) => a.time - b.time).map(({ item }) => item)]),
  );
}

/** All .inter files of a folder when they are history lists; undefined when they are events. */
async function historyListFiles(folder: string, names: readonly string[]): Promise<string[] | undefined> {
  const paths = names.filter((name) => name.endsWith('.inter')).map((name) => join(folder, name));
  const kinds = await Promise.all(
    paths.map(async (path) => {
      const table = await openRecboleFile(path);
      for await (const _ of table.rows) break; // which closes the file
      return holdsHistoryLists(table);
    }),
  );
  if (!kinds.includes(true)) return undefined;
  if (kinds.includes(false)) {
    throw new WinnowError('ERR_DATA_SOURCE', `${folder} mixes events and history lists`, {
      expected: 'one .inter file of events, or .inter files with the columns user_id, item_id_list, item_id',
      received: paths.filter((_, index) => !kinds[index]).join(', '),
    });
  }
  return paths;
}

/**
 * Reads the interactions and the one .item file of a folder. Either one .inter file of events with the columns user_id, item_id
 * and timestamp (any finite number, so floats too), or any number of .inter files of history lists (`readHistoryLists`). The
 * .item file has item_id and a title. Every item that a user took must have a title.
 *
 * @throws WinnowError ERR_DATA_SOURCE, ERR_DATA_RECBOLE
 */
export async function readInteractions(folder: string): Promise<Interactions> {
  const names = await listFolder(folder, 'a folder with RecBole atomic files');
  const itemFile = onlyFileEndingIn(folder, names, '.item');
  const lists = await historyListFiles(folder, names);
  const name = lists ? basename(itemFile, '.item') : basename(onlyFileEndingIn(folder, names, '.inter'), '.inter');
  const titles = await readTitles(join(folder, itemFile));
  const checkItem: CheckItem = (item, where) => {
    if (!titles.has(item)) {
      throw new WinnowError('ERR_DATA_RECBOLE', `${where} names an item without a title`, {
        expected: 'an item of the .item file',
        received: item,
      });
    }
  };
  const all = lists
    ? await readHistoryLists(lists, checkItem)
    : await readEvents(join(folder, `${name}.inter`), checkItem);
  const sequences = new Map([...all].map(([user, items]) => [user, [...new Set(items)]]));
  const count = (map: ReadonlyMap<string, readonly string[]>): number =>
    [...map.values()].reduce((sum, { length }) => sum + length, 0);
  const random = names.filter((file) => file.endsWith('.random'));
  return {
    name,
    titles,
    sequences,
    interactionCount: count(all),
    repeatedCount: count(all) - count(sequences),
    ...(random.length === 1
      ? { candidateLists: await readCandidateLists(join(folder, random[0] as string), checkItem) }
      : {}),
  };
}
