/** Writing TREC runs whose scores mean the same to every reader. */
import { WinnowError } from '../errors.js';
import { writeFileAtomic } from './atomic-file.js';
import { hasSpace, quoted } from './fields.js';

const code = 'ERR_DATA_RUN';

export interface RankedQuery {
  readonly queryId: string;
  /** Best first. */
  readonly documentIds: readonly string[];
  /** One a document, not increasing; default: the number of documents from here to the end. */
  readonly scores?: readonly number[];
}

const bits = new DataView(new ArrayBuffer(4));

/** The largest float32 below `value`, itself a float32. */
function nextFloat32Below(value: number): number {
  if (value === 0) return -(2 ** -149);
  bits.setFloat32(0, value);
  bits.setInt32(0, bits.getInt32(0) + (value > 0 ? -1 : 1));
  return bits.getFloat32(0);
}

/**
 * The scores as float32, strictly decreasing: a score that would not be below the one before it becomes the next float32 below
 * that. Evaluation tools break ties in different ways (trec_eval compares float32, and equal ones by document id, descending), so
 * a run without ties is the only one that they all read alike.
 *
 * @param scores not increasing, finite
 * @throws WinnowError ERR_DATA_RUN
 */
export function strictlyDecreasingScores(scores: readonly number[], what = 'scores'): number[] {
  let limit = Number.POSITIVE_INFINITY;
  return scores.map((score, index) => {
    const before = scores[index - 1] ?? Number.POSITIVE_INFINITY;
    const value = Math.min(Math.fround(score), limit);
    if (!(score <= before) || !Number.isFinite(value)) {
      throw new WinnowError(code, `${what} cannot be written`, {
        expected: 'finite scores within float32 that do not increase',
        received: `${score} at rank ${index + 1}${index > 0 ? ` after ${before}` : ''}`,
      });
    }
    limit = nextFloat32Below(value);
    return value;
  });
}

function expectWord(text: string, field: string, where: string): void {
  if (text === '' || hasSpace(text)) {
    throw new WinnowError(code, `${where}: ${field} cannot stand in a TREC run`, {
      expected: 'a text without white space',
      received: quoted(text),
    });
  }
}

/** The lines of one query: `query Q0 document rank score tag`, ranks from 1. @throws WinnowError ERR_DATA_RUN */
export function formatRunLines({ queryId, documentIds, scores }: RankedQuery, tag = 'winnow'): string {
  const where = `query ${quoted(queryId)}`;
  expectWord(queryId, 'query id', where);
  expectWord(tag, 'run tag', where);
  if (queryId.startsWith('#')) {
    throw new WinnowError(code, `${where}: query id cannot stand in a TREC run`, {
      expected: 'a query id that does not begin a comment',
      received: quoted(queryId),
    });
  }
  if (scores !== undefined && scores.length !== documentIds.length) {
    throw new WinnowError(code, `${where}: scores do not match`, {
      expected: `${documentIds.length} scores`,
      received: String(scores.length),
    });
  }
  const written = strictlyDecreasingScores(
    scores ?? documentIds.map((_, index) => documentIds.length - index),
    `${where}: scores`,
  );
  const seen = new Set<string>();
  let lines = '';
  documentIds.forEach((documentId, index) => {
    expectWord(documentId, 'document id', where);
    if (seen.has(documentId)) {
      throw new WinnowError(code, `${where}: document id comes twice`, {
        expected: 'each document once a query',
        received: quoted(documentId),
      });
    }
    seen.add(documentId);
    lines += `${queryId} Q0 ${documentId} ${index + 1} ${written[index]} ${tag}\n`;
  });
  return lines;
}

/** Writes a run, atomically. @throws WinnowError ERR_DATA_RUN, also for a query that comes twice; ERR_FILE_WRITE */
export async function writeRun(
  path: string,
  queries: Iterable<RankedQuery> | AsyncIterable<RankedQuery>,
  options: { readonly tag?: string } = {},
): Promise<void> {
  async function* chunks(): AsyncGenerator<string> {
    const seen = new Set<string>();
    for await (const query of queries) {
      if (seen.has(query.queryId)) {
        throw new WinnowError(code, `${path} would hold a query twice`, {
          expected: 'distinct query ids',
          received: quoted(query.queryId),
        });
      }
      seen.add(query.queryId);
      yield formatRunLines(query, options.tag);
    }
  }
  await writeFileAtomic(path, chunks());
}
