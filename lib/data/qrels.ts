/** Relevance judgements: TREC's four columns, and BEIR's three with a header. */
import { WinnowError } from '../errors.js';
import { writeFileAtomic } from './atomic-file.js';
import { fieldError, hasSpace, type Place, parseInteger, quoted, splitAtSpace } from './fields.js';
import { readLines } from './lines.js';

const code = 'ERR_DATA_QRELS';

/** Grade by document, by query. A negative grade is a document of the pool that nobody judged. */
export type Qrels = ReadonlyMap<string, ReadonlyMap<string, number>>;

const trecFields = ['query id', 'iteration', 'document id', 'relevance'];
const headerHint = 'a qrels file has no header; delete the line';
const beirHint = 'qrels in BEIR layout are read by loadBeirQrels and --qrels-format beir';

function add(
  qrels: Map<string, Map<string, number>>,
  [queryId, documentId, grade]: readonly [string, string, number],
  place: Place,
): void {
  const grades = qrels.get(queryId) ?? new Map<string, number>();
  if (grades.has(documentId)) {
    throw fieldError(place, 'document id', `is judged twice for query ${quoted(queryId)}`, {
      expected: 'one judgement',
      received: quoted(documentId),
    });
  }
  grades.set(documentId, grade);
  qrels.set(queryId, grades);
}

function expectSome(qrels: Map<string, Map<string, number>>, path: string): Qrels {
  if (qrels.size === 0) throw new WinnowError(code, `${path} holds no judgements`, { expected: 'at least one line' });
  return qrels;
}

/**
 * Reads TREC qrels, `query iteration document relevance`, separated by any white space. The iteration is not read. Blank lines
 * and lines that begin with # are skipped.
 *
 * @throws WinnowError ERR_DATA_QRELS with file, line and field; a header is such an error
 */
export async function loadQrels(path: string): Promise<Qrels> {
  const qrels = new Map<string, Map<string, number>>();
  for await (const { number, text } of readLines(path, code)) {
    if (text.startsWith('#') || text.trim() === '') continue;
    const place = { code, path, line: number };
    const fields = splitAtSpace(text);
    if (fields.length !== trecFields.length) {
      const isShort = fields.length < trecFields.length;
      throw fieldError(place, trecFields[fields.length] ?? 'a fifth field', isShort ? 'is missing' : 'is too many', {
        expected: 'query id, iteration, document id, relevance',
        received: `${fields.length} fields: ${quoted(text)}`,
        ...(fields.length === 3 ? { hint: beirHint } : number === 1 ? { hint: headerHint } : {}),
      });
    }
    const [queryId, , documentId, grade] = fields as [string, string, string, string];
    const hint = qrels.size === 0 ? headerHint : undefined;
    add(qrels, [queryId, documentId, parseInteger(grade, place, 'relevance', hint)], place);
  }
  return expectSome(qrels, path);
}

/** Reads qrels in BEIR layout: the header `query-id TAB corpus-id TAB score`, then one judgement a line. */
export async function loadBeirQrels(path: string): Promise<Qrels> {
  const qrels = new Map<string, Map<string, number>>();
  const header = ['query-id', 'corpus-id', 'score'];
  let headed = false;
  for await (const { number, text } of readLines(path, code)) {
    if (text.trim() === '') continue;
    const place = { code, path, line: number };
    const fields = text.split('\t');
    if (!headed) {
      const wrong = header.findIndex((name, index) => fields[index] !== name);
      if (wrong >= 0 || fields.length !== 3) {
        throw fieldError(place, header[wrong] ?? 'a fourth column', 'is not in the header', {
          expected: header.join(' TAB '),
          received: quoted(text),
        });
      }
      headed = true;
      continue;
    }
    const empty = header.findIndex((_, index) => (fields[index] ?? '') === '');
    if (empty >= 0 || fields.length !== 3) {
      throw fieldError(place, header[empty] ?? 'a fourth field', empty >= 0 ? 'is missing' : 'is too many', {
        expected: header.join(' TAB '),
        received: `${fields.length} fields: ${quoted(text)}`,
      });
    }
    const [queryId, documentId, grade] = fields as [string, string, string];
    add(qrels, [queryId, documentId, parseInteger(grade, place, 'score')], place);
  }
  return expectSome(qrels, path);
}

/** Writes TREC qrels, atomically. @throws WinnowError ERR_DATA_QRELS for an id with white space or a grade that is no integer */
export async function writeQrels(path: string, qrels: Qrels): Promise<void> {
  function* lines(): Generator<string> {
    for (const [queryId, grades] of qrels) {
      for (const [documentId, grade] of grades) {
        const bad = [queryId, documentId].find((id) => id === '' || hasSpace(id)) ?? String(grade);
        if (bad !== String(grade) || !Number.isSafeInteger(grade) || queryId.startsWith('#')) {
          throw new WinnowError(code, `a judgement of query ${quoted(queryId)} cannot stand in qrels`, {
            expected: 'ids without white space, and an integer',
            received: quoted(bad),
          });
        }
        yield `${queryId} 0 ${documentId} ${grade}\n`;
      }
    }
  }
  await writeFileAtomic(path, lines());
}
