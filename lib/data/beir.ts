/** BEIR folders: corpus.jsonl, queries.jsonl and qrels/<split>.tsv. */
import { join } from 'node:path';
import { WinnowError } from '../errors.js';
import { DistinctIds } from './distinct-ids.js';
import { fieldError } from './fields.js';
import { asId, asObject, asString, type JsonObject } from './json-fields.js';
import { readJsonLines } from './jsonl.js';
import { loadBeirQrels, type Qrels } from './qrels.js';
import { listFolder } from './reading.js';
import type { TextDocument, TextQuery } from './text-records.js';

const code = 'ERR_DATA_COLLECTION';

async function* readRecords(
  path: string,
): AsyncGenerator<{ id: string; record: JsonObject; text: string; line: number }> {
  const ids = new DistinctIds();
  for await (const { number, value } of readJsonLines(path)) {
    const place = { code, path, line: number };
    const record = asObject(value, place, 'line');
    const id = asId(record._id, place, '_id');
    ids.expectNew(id, place, '_id');
    yield { id, record, text: asString(record.text, place, 'text'), line: number };
  }
}

/** `corpus.jsonl`, streamed; only the ids are held. A missing title is ''. @throws WinnowError ERR_DATA_COLLECTION, ERR_DATA_JSONL */
export async function* readBeirCorpus(path: string): AsyncGenerator<TextDocument> {
  for await (const { id, record, text, line } of readRecords(path)) {
    yield { id, title: asString(record.title ?? '', { code, path, line }, 'title'), text };
  }
}

/** `queries.jsonl`, streamed. @throws WinnowError ERR_DATA_COLLECTION, ERR_DATA_JSONL */
export async function* readBeirQueries(path: string): AsyncGenerator<TextQuery> {
  for await (const { id, text, line } of readRecords(path)) {
    if (text.trim() === '') {
      throw fieldError({ code, path, line }, 'text', 'is empty', { expected: 'a query', received: '""' });
    }
    yield { id, text };
  }
}

export interface BeirFolder {
  /** Streamed anew at each call. */
  corpus(): AsyncGenerator<TextDocument>;
  queries(): AsyncGenerator<TextQuery>;
  /** Names of the files under qrels/, such as train, dev, test; sorted. */
  readonly splits: readonly string[];
  /** @throws WinnowError ERR_DATA_SOURCE for a split that is not there */
  qrels(split: string): Promise<Qrels>;
}

const expected = 'a BEIR folder with corpus.jsonl, queries.jsonl and qrels/';

/** Opens a BEIR folder and looks what is there. @throws WinnowError ERR_DATA_SOURCE */
export async function openBeirFolder(folder: string): Promise<BeirFolder> {
  const names = await listFolder(folder, expected);
  const missing = ['corpus.jsonl', 'queries.jsonl', 'qrels'].find((name) => !names.includes(name));
  if (missing !== undefined) {
    throw new WinnowError('ERR_DATA_SOURCE', `${folder} lacks ${missing}`, {
      expected,
      received: names.join(', ') || 'an empty folder',
    });
  }
  const splits = (await listFolder(join(folder, 'qrels'), expected)).flatMap(
    (name) => name.match(/^(.+)\.tsv$/)?.[1] ?? [],
  );
  return {
    corpus: () => readBeirCorpus(join(folder, 'corpus.jsonl')),
    queries: () => readBeirQueries(join(folder, 'queries.jsonl')),
    splits,
    async qrels(split) {
      if (!splits.includes(split)) {
        throw new WinnowError('ERR_DATA_SOURCE', `${folder} has no qrels/${split}.tsv`, {
          expected: splits.join(', ') || 'a file qrels/*.tsv',
          received: split,
        });
      }
      return loadBeirQrels(join(folder, 'qrels', `${split}.tsv`));
    },
  };
}
