/** Queries with passages that somebody judged: rows of MS MARCO QnA v1.1 and of Tevatron's training sets. */
import { fieldError, type Place, quoted } from './fields.js';
import { asArray, asFiniteNumber, asId, asObject, asString, type JsonObject } from './json-fields.js';
import type { JsonLine } from './jsonl.js';
import type { TextDocument, TextQuery } from './text-records.js';

const code = 'ERR_DATA_PASSAGES';

export interface JudgedPassage extends TextDocument {
  /** undefined: nobody judged it for this query. */
  readonly grade: number | undefined;
}

/** One query and the passages that a list may be made of, in the order of the source. */
export interface PassagePool {
  readonly query: TextQuery;
  readonly passages: readonly JudgedPassage[];
  /** Where the source says so. */
  readonly side?: 'train' | 'test';
}

function queryOf(row: JsonObject, place: Place): TextQuery {
  const text = asString(row.query, place, 'query');
  if (text.trim() === '') {
    throw fieldError(place, 'query', 'is empty', { expected: 'a query', received: quoted(text) });
  }
  return { id: asId(row.query_id, place, 'query_id'), text };
}

/**
 * A row of MS MARCO QnA: `query`, `query_id` and `passages` with the aligned lists `is_selected` and `passage_text`. Passages have
 * no ids there: theirs are the query's id and their place.
 */
export function msMarcoPool({ number, value }: JsonLine, path: string): PassagePool {
  const place = { code, path, line: number };
  const row = asObject(value, place, 'row');
  const query = queryOf(row, place);
  const passages = asObject(row.passages, place, 'passages');
  const texts = asArray(passages.passage_text, place, 'passages.passage_text');
  const selected = asArray(passages.is_selected, place, 'passages.is_selected');
  if (texts.length !== selected.length) {
    throw fieldError(place, 'passages.is_selected', 'has another length than passages.passage_text', {
      expected: `${texts.length} values`,
      received: String(selected.length),
    });
  }
  return {
    query,
    passages: texts.map((text, index) => ({
      id: `${query.id}#${index}`,
      title: '',
      text: asString(text, place, `passages.passage_text[${index}]`),
      grade: asFiniteNumber(selected[index], place, `passages.is_selected[${index}]`),
    })),
  };
}

function tevatronPassages(value: unknown, place: Place, field: string, grade: number): JudgedPassage[] {
  return asArray(value, place, field).map((entry, index) => {
    const where = `${field}[${index}]`;
    const passage = asObject(entry, place, where);
    return {
      id: asId(passage.docid, place, `${where}.docid`),
      title: asString(passage.title ?? '', place, `${where}.title`),
      text: asString(passage.text, place, `${where}.text`),
      grade,
    };
  });
}

/** A row of Tevatron: `query_id`, `query`, `positive_passages` and `negative_passages`, each `{docid, title?, text}`. */
export function tevatronPool({ number, value }: JsonLine, path: string): PassagePool {
  const place = { code, path, line: number };
  const row = asObject(value, place, 'row');
  return {
    query: queryOf(row, place),
    passages: [
      ...tevatronPassages(row.positive_passages, place, 'positive_passages', 1),
      ...tevatronPassages(row.negative_passages, place, 'negative_passages', 0),
    ],
  };
}
