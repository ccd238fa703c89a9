/** MS MARCO's tables: `id TAB text`, one a line, for queries and for the passages of a collection. */
import { DistinctIds } from './distinct-ids.js';
import { fieldError, splitPair } from './fields.js';
import { readLines } from './lines.js';
import type { TextDocument, TextQuery } from './text-records.js';

const code = 'ERR_DATA_COLLECTION';

async function* readPairs(path: string, id: string, text: string): AsyncGenerator<TextQuery> {
  const ids = new DistinctIds();
  for await (const line of readLines(path, code)) {
    if (line.text === '') continue;
    const place = { code, path, line: line.number };
    const pair = splitPair(line.text, place, id, text);
    if (pair[1].trim() === '') throw fieldError(place, text, 'is empty', { expected: `a ${text}`, received: '""' });
    ids.expectNew(pair[0], place, id);
    yield { id: pair[0], text: pair[1] };
  }
}

/** `query id TAB query`, streamed; also how TREC Deep Learning gives its topics. @throws WinnowError ERR_DATA_COLLECTION */
export function readTsvQueries(path: string): AsyncGenerator<TextQuery> {
  return readPairs(path, 'query id', 'query');
}

/** `passage id TAB passage`, streamed; only the ids are held. @throws WinnowError ERR_DATA_COLLECTION */
export async function* readTsvCollection(path: string): AsyncGenerator<TextDocument> {
  for await (const { id, text } of readPairs(path, 'passage id', 'passage')) yield { id, title: '', text };
}
