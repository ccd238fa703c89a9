import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { WinnowError } from '../errors.js';
import { openRecboleFile } from './recbole.js';

/** Who took what in which order, and the titles of the things. */
export interface Interactions {
  /** Name of the data set: the stem of its .inter file. */
  readonly name: string;
  /** In the order of the .item file. */
  readonly titles: ReadonlyMap<string, string>;
  /** Item ids by user, oldest first; equal timestamps keep the order of the file; an item's first occurrence counts. */
  readonly sequences: ReadonlyMap<string, readonly string[]>;
  readonly interactionCount: number;
  /** Later occurrences of an item at the same user, dropped. */
  readonly repeatedCount: number;
}

async function onlyFileEndingIn(folder: string, ending: string): Promise<string> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (cause) {
    throw new WinnowError('ERR_DATA_SOURCE', `${folder} cannot be listed`, {
      expected: 'a folder with RecBole atomic files',
      received: (cause as NodeJS.ErrnoException).code ?? String(cause),
      cause,
    });
  }
  const matching = names.filter((name) => name.endsWith(ending)).sort();
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
    const title = (fields[titleColumn] as string).trim();
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

/**
 * Reads the one .inter and the one .item file of a folder. Columns: user_id, item_id and timestamp (any finite number, so
 * floats too); item_id and a title. Every item that a user took must have a title.
 */
export async function readInteractions(folder: string): Promise<Interactions> {
  const interactionFile = await onlyFileEndingIn(folder, '.inter');
  const titles = await readTitles(join(folder, await onlyFileEndingIn(folder, '.item')));
  const path = join(folder, interactionFile);
  const table = await openRecboleFile(path);
  const userColumn = table.column('user_id');
  const itemColumn = table.column('item_id');
  const timeColumn = table.column('timestamp');
  const events = new Map<string, { item: string; time: number }[]>();
  let interactionCount = 0;
  for await (const row of table.rows) {
    const user = row.fields[userColumn] as string;
    const item = row.fields[itemColumn] as string;
    if (!titles.has(item)) {
      throw new WinnowError('ERR_DATA_RECBOLE', `${path}:${row.line} names an item without a title`, {
        expected: 'an item of the .item file',
        received: item,
      });
    }
    const ofUser = events.get(user) ?? [];
    events.set(user, ofUser);
    ofUser.push({ item, time: table.float(row, timeColumn) });
    interactionCount++;
  }
  const sequences = new Map<string, readonly string[]>();
  let kept = 0;
  for (const [user, ofUser] of events) {
    // Array sort is stable (ECMAScript 2019), so ties in time keep the order of the file.
    const sequence = [...new Set(ofUser.sort((a, b) => a.time - b.time).map(({ item }) => item))];
    sequences.set(user, sequence);
    kept += sequence.length;
  }
  return {
    name: interactionFile.slice(0, -'.inter'.length),
    titles,
    sequences,
    interactionCount,
    repeatedCount: interactionCount - kept,
  };
}
