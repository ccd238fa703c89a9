/** Retrieval runs: TREC's six columns and MS MARCO's three. */
import { WinnowError } from '../errors.js';
import { fieldError, type Place, parseInteger, parseNumber, quoted, splitAtSpace } from './fields.js';
import { readLines } from './lines.js';

const code = 'ERR_DATA_RUN';

export interface RunEntry {
  readonly documentId: string;
  /** Larger is better. */
  readonly score: number;
  /** Line in the file, from 1: the order of the file. */
  readonly line: number;
}

export interface RunLine extends RunEntry {
  readonly queryId: string;
  readonly tag: string;
}

export interface RunQuery {
  readonly queryId: string;
  /** In the order of the file. */
  readonly entries: readonly RunEntry[];
}

export interface Run {
  /** The tag of the last line, as trec_eval tells it. */
  readonly tag: string;
  /** In the order of the file; documents are distinct within a query. */
  readonly queries: ReadonlyMap<string, readonly RunEntry[]>;
}

const runFields = ['query id', 'iteration', 'document id', 'rank', 'score', 'run tag'];

function parseTrecLine(text: string, place: Place): RunLine {
  const fields = splitAtSpace(text);
  if (fields.length < runFields.length) {
    throw fieldError(place, runFields[fields.length] as string, 'is missing', {
      expected: 'query id, iteration, document id, rank, score, run tag',
      received: quoted(text),
    });
  }
  const [queryId, , documentId, , score, tag] = fields as [string, string, string, string, string, string];
  return { queryId, documentId, score: parseNumber(score, place, 'score'), tag, line: place.line };
}

/**
 * The lines of a TREC run, streamed: `query Q0 document rank score tag`, separated by any white space. As in trec_eval the
 * iteration and the rank are not read, fields after the tag are ignored, and blank lines and lines that begin with # are skipped.
 * Nothing is asked of the order of the lines, and nothing held: duplicates are for `loadRun` and `readRunByQuery` to find.
 *
 * @throws WinnowError ERR_DATA_RUN with file, line and field
 */
export async function* readRun(path: string): AsyncGenerator<RunLine> {
  for await (const { number, text } of readLines(path, code)) {
    if (text.startsWith('#') || text.trim() === '') continue;
    yield parseTrecLine(text, { code, path, line: number });
  }
}

/** The lines of an MS MARCO run, `query TAB document TAB rank`, streamed. The score is minus the rank. */
export async function* readMsMarcoRun(path: string): AsyncGenerator<RunLine> {
  for await (const { number, text } of readLines(path, code)) {
    if (text.trim() === '') continue;
    const place = { code, path, line: number };
    const fields = splitAtSpace(text);
    if (fields.length !== 3) {
      const names = ['query id', 'document id', 'rank', 'a fourth field'];
      const problem = fields.length < 3 ? 'is missing' : 'is too many';
      throw fieldError(place, names[Math.min(fields.length, 3)] as string, problem, {
        expected: 'query id, document id, rank',
        received: `${fields.length} fields: ${quoted(text)}`,
        ...(fields.length === 6 ? { hint: 'this looks like a TREC run' } : {}),
      });
    }
    const [queryId, documentId, rank] = fields as [string, string, string];
    yield { queryId, documentId, score: -parseInteger(rank, place, 'rank'), tag: 'msmarco', line: number };
  }
}

function expectDistinct(path: string, queryId: string, entries: readonly RunEntry[]): void {
  const lineOf = new Map<string, number>();
  for (const { documentId, line } of entries) {
    const earlier = lineOf.get(documentId);
    if (earlier !== undefined) {
      throw fieldError({ code, path, line }, 'document id', `comes twice for query ${quoted(queryId)}`, {
        expected: 'each document once a query',
        received: `${quoted(documentId)}, also on line ${earlier}`,
      });
    }
    lineOf.set(documentId, line);
  }
}

/**
 * A whole run by query, whatever the order of its lines.
 *
 * @param lines default: `path` as a TREC run
 * @throws WinnowError ERR_DATA_RUN, also for a document that comes twice for a query and for a file without lines
 */
export async function loadRun(path: string, lines: AsyncIterable<RunLine> = readRun(path)): Promise<Run> {
  const queries = new Map<string, RunEntry[]>();
  let lastTag: string | undefined;
  for await (const { queryId, documentId, score, line, tag } of lines) {
    const entries = queries.get(queryId);
    const entry = { documentId, score, line };
    if (entries) entries.push(entry);
    else queries.set(queryId, [entry]);
    lastTag = tag;
  }
  if (lastTag === undefined) throw new WinnowError(code, `${path} holds no run`, { expected: 'at least one line' });
  for (const [queryId, entries] of queries) expectDistinct(path, queryId, entries);
  return { tag: lastTag, queries };
}

/**
 * The queries of a TREC run one after the other, holding one at a time, for files of any size.
 *
 * @throws WinnowError ERR_DATA_RUN, also for a document that comes twice for a query, and for a query whose lines do not stand together
 */
export async function* readRunByQuery(path: string): AsyncGenerator<RunQuery> {
  const firstLineOf = new Map<string, number>();
  let current: { queryId: string; entries: RunEntry[] } | undefined;
  for await (const { queryId, documentId, score, line } of readRun(path)) {
    if (current?.queryId !== queryId) {
      if (current) {
        expectDistinct(path, current.queryId, current.entries);
        yield current;
      }
      const earlier = firstLineOf.get(queryId);
      if (earlier !== undefined) {
        throw fieldError({ code, path, line }, 'query id', 'comes back after another query', {
          expected: 'the lines of a query together',
          received: `${quoted(queryId)}, first on line ${earlier}`,
          hint: 'sort the run by query',
        });
      }
      firstLineOf.set(queryId, line);
      current = { queryId, entries: [] };
    }
    current.entries.push({ documentId, score, line });
  }
  if (current) {
    expectDistinct(path, current.queryId, current.entries);
    yield current;
  }
}
