/** What `winnow rank` reads: a run, and the texts of its queries and documents. */
import { loadTexts, readPassages, readQueries } from '../data/text-lookup.js';
import { readRunByQuery } from '../data/trec-run.js';
import { WinnowError } from '../errors.js';
import type { RankingInstance } from '../types.js';

export interface RankFiles {
  readonly run: string;
  readonly queries: string;
  readonly passages: string;
}

/** All documents of each query, best first; the queries in the order of the file. */
export type RunOrder = ReadonlyMap<string, readonly string[]>;

/** Larger scores first, equal ones in the order of the file; only ids are held. @throws WinnowError ERR_DATA_RUN */
export async function readRunOrder(path: string): Promise<RunOrder> {
  const order = new Map<string, readonly string[]>();
  for await (const { queryId, entries } of readRunByQuery(path)) {
    const sorted = [...entries].sort((a, b) => b.score - a.score || a.line - b.line);
    order.set(
      queryId,
      sorted.map(({ documentId }) => documentId),
    );
  }
  if (order.size === 0) {
    throw new WinnowError('ERR_DATA_RUN', `${path} holds no run`, { expected: 'at least one line' });
  }
  return order;
}

export interface RankInput {
  /** One for each query to ask about, made when it is drawn. */
  instances(): Generator<RankingInstance>;
  /** Queries that nothing can be asked about, by `missing: 'keep'`. */
  readonly keptQueries: readonly string[];
  /** Documents within the depth that have no text, over all queries; by `missing: 'keep'`. */
  readonly keptDocuments: number;
}

interface InputOptions {
  readonly depth: number;
  readonly missing: 'fail' | 'keep';
}

function missingText(path: string, what: string, missing: readonly string[], where: string): WinnowError {
  const others = missing.length > 1 ? ` and ${missing.length - 1} others` : '';
  return new WinnowError('ERR_DATA_TEXT', `${path} has no text for ${what} ${missing[0]}${where}`, {
    expected: `a text for every ${what} that is ranked`,
    received: `none for ${missing[0]}${others}`,
    hint: '--missing keep ranks the others',
  });
}

/**
 * The texts that ranking `order` to the depth takes; the files are streamed, and what is not wanted is not held.
 *
 * @throws WinnowError ERR_DATA_TEXT naming file and id, unless `missing` is 'keep'; ERR_DATA_* of the files
 */
export async function readRankInput(
  order: RunOrder,
  files: RankFiles,
  { depth, missing }: InputOptions,
): Promise<RankInput> {
  const queries = await loadTexts(readQueries(files.queries), order);
  const keptQueries = [...order.keys()].filter((id) => !queries.has(id));
  if (missing === 'fail' && keptQueries.length > 0) throw missingText(files.queries, 'query', keptQueries, '');
  const wanted = new Set<string>();
  for (const id of queries.keys()) for (const document of order.get(id)?.slice(0, depth) ?? []) wanted.add(document);
  const passages = await loadTexts(readPassages(files.passages), wanted);
  const absent = [...wanted].filter((id) => !passages.has(id));
  if (missing === 'fail' && absent.length > 0) {
    const query = [...order].find(([, documents]) => documents.slice(0, depth).includes(absent[0] as string))?.[0];
    throw missingText(files.passages, 'document', absent, ` of query ${query}`);
  }
  const candidatesOf = (queryId: string) =>
    (order.get(queryId) ?? []).slice(0, depth).flatMap((id) => {
      const text = passages.get(id);
      return text === undefined ? [] : [{ id, text }];
    });
  const asked: string[] = [];
  let keptDocuments = 0;
  for (const [id, documents] of order) {
    if (!queries.has(id)) continue;
    const known = documents.slice(0, depth).filter((document) => passages.has(document)).length;
    keptDocuments += Math.min(depth, documents.length) - known;
    (known > 0 ? asked : keptQueries).push(id);
  }
  return {
    keptQueries,
    keptDocuments,
    *instances() {
      for (const id of asked) {
        const candidates = candidatesOf(id);
        yield {
          id,
          task: `Passage-${candidates.length}`,
          context: queries.get(id) as string,
          candidates,
          relevance: candidates.map(() => 0),
        };
      }
    },
  };
}

/** The documents of the run in their new order: those that were ranked, then all others as they were. */
export function mergeRanking(documents: readonly string[], ranking: readonly string[]): string[] {
  const ranked = new Set(ranking);
  return [...ranking, ...documents.filter((id) => !ranked.has(id))];
}
