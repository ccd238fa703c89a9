import type { BeirFolder } from '../data/beir.js';
import type { JudgedPassage, PassagePool } from '../data/passage-pools.js';
import type { TextDocument } from '../data/text-records.js';
import { WinnowError } from '../errors.js';
import { RandomStream } from '../random.js';
import { Bm25Index } from '../text/bm25.js';
import { englishTerms } from '../text/english-analysis.js';
import type { PoolOptions } from './passage-sources.js';

/** Documents of a collection that are near a query, or any. */
type Negatives = (queryId: string, query: string, judged: ReadonlyMap<string, number>) => readonly TextDocument[];

function bm25Negatives(documents: readonly TextDocument[], depth: number): Negatives {
  const index = new Bm25Index(documents.map(({ title, text }) => englishTerms(`${title} ${text}`)));
  return (_, query, judged) => {
    const scores = index.scores(englishTerms(query));
    const found = [...scores.keys()].filter(
      (at) => (scores[at] as number) > 0 && !judged.has((documents[at] as TextDocument).id),
    );
    found.sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
    return found.slice(0, depth).map((at) => documents[at] as TextDocument);
  };
}

function randomNegatives(documents: readonly TextDocument[], { depth, seed }: PoolOptions): Negatives {
  return (queryId, _, judged) => {
    const random = new RandomStream(seed, 'beir', 'negatives', queryId);
    const tried = new Set<number>();
    const drawn: TextDocument[] = [];
    while (drawn.length < depth && tried.size < documents.length) {
      const at = random.integer(documents.length);
      const document = documents[at] as TextDocument;
      if (!tried.has(at) && !judged.has(document.id)) drawn.push(document);
      tried.add(at);
    }
    return drawn;
  };
}

/** Split names as sides: train against test, or against dev where there is no test; any other split alone has no side. */
function sidesOf(splits: readonly string[]): readonly (readonly [split: string, side?: 'train' | 'test'])[] {
  const test = ['test', 'dev', 'validation'].find((name) => splits.includes(name));
  if (splits.includes('train') && test !== undefined) {
    return [
      ['train', 'train'],
      [test, 'test'],
    ];
  }
  return splits.map((split) => [split] as const);
}

/**
 * The judged documents of each query, then the first `depth` others of BM25 over the whole collection, or as many at random. The
 * collection is held. Judged documents that the collection lacks are left out.
 */
export async function* beirPools(folder: BeirFolder, options: PoolOptions): AsyncGenerator<PassagePool> {
  if (folder.splits.length === 0) {
    throw new WinnowError('ERR_DATA_SOURCE', 'the BEIR folder has no qrels', { expected: 'qrels/<split>.tsv' });
  }
  const documents: TextDocument[] = [];
  for await (const document of folder.corpus()) documents.push(document);
  const byId = new Map(documents.map((document) => [document.id, document]));
  const negatives =
    options.negativesFrom === 'bm25' ? bm25Negatives(documents, options.depth) : randomNegatives(documents, options);
  const queries = new Map<string, string>();
  for await (const { id, text } of folder.queries()) queries.set(id, text);
  for (const [split, side] of sidesOf(folder.splits)) {
    for (const [id, grades] of await folder.qrels(split)) {
      const text = queries.get(id);
      if (text === undefined) {
        throw new WinnowError('ERR_DATA_PASSAGES', `qrels/${split}.tsv judges a query that queries.jsonl lacks`, {
          expected: 'a query of queries.jsonl',
          received: id,
        });
      }
      const judged = [...grades].flatMap(([documentId, grade]): JudgedPassage[] => {
        const document = byId.get(documentId);
        return document ? [{ ...document, grade }] : [];
      });
      const others = negatives(id, text, grades);
      const passages = [...judged, ...others.map((document) => ({ ...document, grade: undefined }))];
      yield { query: { id, text }, passages, ...(side ? { side } : {}) };
    }
  }
}
