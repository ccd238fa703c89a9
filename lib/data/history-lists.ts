import { WinnowError } from '../errors.js';
import { readLines } from './lines.js';
import { openRecboleFile, type RecboleTable } from './recbole.js';

/** The columns of a history list: a user, the past item ids with spaces between, oldest first, and the item that came next. */
const listColumn = 'item_id_list';

export const holdsHistoryLists = (table: RecboleTable): boolean =>
  table.columns.some(({ name }) => name === listColumn);

interface List {
  readonly items: readonly string[];
  readonly where: string;
}

function startsWith(long: readonly string[], short: readonly string[]): boolean {
  return short.every((item, index) => item === long[index]);
}

/**
 * The sequences of files of history lists, by user, oldest first. Files of one source often repeat a user with one more item a
 * row; the longest row counts, and every other row of the user must be its beginning.
 *
 * @param checkItem throws for an item that cannot be used
 * @throws WinnowError ERR_DATA_RECBOLE with file and line
 */
export async function readHistoryLists(
  paths: readonly string[],
  checkItem: (item: string, where: string) => void,
): Promise<Map<string, readonly string[]>> {
  const longest = new Map<string, List>();
  for (const path of paths) {
    const table = await openRecboleFile(path);
    const [user, list, next] = [table.column('user_id'), table.column(listColumn), table.column('item_id')];
    for await (const { line, fields } of table.rows) {
      const where = `${path}:${line}`;
      const past = (fields[list] as string).split(' ').filter((item) => item !== '');
      const target = (fields[next] as string).trim();
      if (past.length === 0 || target === '') {
        throw new WinnowError('ERR_DATA_RECBOLE', `${where} has an empty ${target === '' ? 'item_id' : listColumn}`, {
          expected: 'at least one past item and the next one',
          received: JSON.stringify(fields),
        });
      }
      const items = [...past, target];
      for (const item of items) checkItem(item, where);
      keepLongest(longest, fields[user] as string, { items, where });
    }
  }
  return new Map([...longest].map(([user, { items }]) => [user, items]));
}

function keepLongest(longest: Map<string, List>, user: string, list: List): void {
  const earlier = longest.get(user);
  if (!earlier) {
    longest.set(user, list);
    return;
  }
  const [long, short] = earlier.items.length >= list.items.length ? [earlier, list] : [list, earlier];
  if (!startsWith(long.items, short.items)) {
    throw new WinnowError('ERR_DATA_RECBOLE', `${list.where} contradicts ${earlier.where}`, {
      expected: `lists of user ${user} that begin alike`,
      received: JSON.stringify(list.items.slice(0, 8).join(' ')),
    });
  }
  longest.set(user, long);
}

/**
 * Candidate item ids by user, from a file without a header: the user, a TAB, item ids with spaces between.
 *
 * @throws WinnowError ERR_DATA_RECBOLE with file and line
 */
export async function readCandidateLists(
  path: string,
  checkItem: (item: string, where: string) => void,
): Promise<Map<string, readonly string[]>> {
  const lists = new Map<string, readonly string[]>();
  for await (const { number, text } of readLines(path, 'ERR_DATA_RECBOLE')) {
    if (text.trim() === '') continue;
    const where = `${path}:${number}`;
    const [user, list, ...rest] = text.split('\t');
    const items = (list ?? '').split(' ').filter((item) => item !== '');
    if (!user || items.length === 0 || rest.length > 0 || lists.has(user)) {
      throw new WinnowError('ERR_DATA_RECBOLE', `${where} is no candidate list`, {
        expected: 'a new user, one TAB, item ids with spaces between',
        received: JSON.stringify(text.slice(0, 60)),
      });
    }
    for (const item of items) checkItem(item, where);
    lists.set(user, items);
  }
  return lists;
}
