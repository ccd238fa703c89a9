/** Requests and results of rank_llm: queries with their candidates and texts. */
import { fieldError, type Place } from './fields.js';
import { readJsonArray } from './json-array.js';
import { asArray, asFiniteNumber, asId, asObject, asString, type JsonObject } from './json-fields.js';
import { type JsonLine, readJsonLines, writeJsonLines } from './jsonl.js';
import { readLines } from './lines.js';
import type { TextDocument, TextQuery } from './text-records.js';

const code = 'ERR_DATA_RANK_LLM';

export interface RequestCandidate extends TextDocument {
  readonly score: number;
}

/** A query and its candidates, best first. */
export interface RankingRequest {
  readonly query: TextQuery;
  readonly candidates: readonly RequestCandidate[];
}

/** Where rank_llm looks for the text of a document, in its order. */
const textFields = ['text', 'segment', 'contents', 'content', 'body', 'passage'];

function readText(document: JsonObject, place: Place, field: string): { title: string; text: string } {
  const name = textFields.find((key) => document[key] !== undefined);
  if (name === undefined) {
    throw fieldError(place, field, 'has no text', {
      expected: `one of ${textFields.join(', ')}`,
      received: Object.keys(document).join(', ') || 'nothing',
    });
  }
  return {
    text: asString(document[name], place, `${field}.${name}`),
    title: asString(document.title ?? '', place, `${field}.title`),
  };
}

function readCandidate(value: unknown, place: Place, field: string): RequestCandidate {
  const candidate = asObject(value, place, field);
  // The older form keeps the text beside the id; `doc` may be the JSON of the document, as Pyserini's raw() gives it, or its text.
  const document = candidate.doc ?? candidate;
  const texts =
    typeof document === 'string'
      ? { title: '', text: document }
      : readText(asObject(document, place, `${field}.doc`), place, candidate.doc ? `${field}.doc` : field);
  return {
    id: asId(candidate.docid, place, `${field}.docid`),
    score: asFiniteNumber(candidate.score, place, `${field}.score`),
    ...texts,
  };
}

function parseRequest({ number, value }: JsonLine, path: string): RankingRequest {
  const place = { code, path, line: number };
  const record = asObject(value, place, 'request');
  const [field, list] =
    record.candidates === undefined && record.hits !== undefined
      ? (['hits', record.hits] as const)
      : (['candidates', record.candidates] as const);
  const candidates = asArray(list, place, field).map((one, index) => readCandidate(one, place, `${field}[${index}]`));
  const seen = new Set<string>();
  for (const [index, { id }] of candidates.entries()) {
    if (seen.has(id)) {
      throw fieldError(place, `${field}[${index}].docid`, 'comes twice', { expected: 'distinct ids', received: id });
    }
    seen.add(id);
  }
  if (typeof record.query !== 'string') {
    const query = asObject(record.query, place, 'query');
    return {
      query: { id: asId(query.qid, place, 'query.qid'), text: asString(query.text, place, 'query.text') },
      candidates,
    };
  }
  // The older form: the query is its text, and each hit carries its id.
  const hits = list as readonly JsonObject[];
  const ids = new Set(hits.map(({ qid }, index) => asId(qid, place, `${field}[${index}].qid`)));
  if (ids.size !== 1) {
    throw fieldError(place, `${field}[].qid`, 'does not tell the query', {
      expected: 'one query id in all of them',
      received: [...ids].join(', ') || 'no candidates',
    });
  }
  return { query: { id: [...ids][0] as string, text: record.query }, candidates };
}

async function isArray(path: string): Promise<boolean> {
  for await (const { text } of readLines(path, code)) if (text.trim() !== '') return text.trimStart().startsWith('[');
  return false;
}

/**
 * The requests of a rank_llm file, streamed: `{query: {text, qid}, candidates: [{docid, score, doc}]}` as JSON Lines or as one
 * JSON array, or the older `{query, hits: [{qid, docid, score, content}]}`. Results have the same form and are read by it too.
 *
 * @param path a file; it is opened twice
 * @throws WinnowError ERR_DATA_RANK_LLM or ERR_DATA_JSONL with file, line (in an array the one that the element begins on) and field
 */
export async function* readRankLlmRequests(path: string): AsyncGenerator<RankingRequest> {
  const lineOf = new Map<string, number>();
  for await (const element of (await isArray(path)) ? readJsonArray(path) : readJsonLines(path)) {
    const request = parseRequest(element, path);
    const earlier = lineOf.get(request.query.id);
    if (earlier !== undefined) {
      throw fieldError({ code, path, line: element.number }, 'query id', 'comes twice', {
        expected: 'each query once',
        received: `${request.query.id}, also on line ${earlier}`,
      });
    }
    lineOf.set(request.query.id, element.number);
    yield request;
  }
}

/** One model call behind a result, in rank_llm's words. */
export interface RankLlmInvocation {
  readonly prompt: unknown;
  readonly response: string;
  readonly input_token_count: number;
  readonly output_token_count: number;
}

export interface RankLlmResult extends RankingRequest {
  readonly invocations?: readonly RankLlmInvocation[];
}

/** Writes requests, or results with their invocations, as rank_llm's JSON Lines, atomically. */
export async function writeRankLlmResults(
  path: string,
  results: Iterable<RankLlmResult> | AsyncIterable<RankLlmResult>,
): Promise<void> {
  async function* records(): AsyncGenerator<unknown> {
    for await (const { query, candidates, invocations } of results) {
      yield {
        query: { text: query.text, qid: query.id },
        candidates: candidates.map(({ id, score, title, text }) => ({
          docid: id,
          score,
          doc: { ...(title === '' ? {} : { title }), text },
        })),
        ...(invocations === undefined ? {} : { invocations_history: invocations }),
      };
    }
  }
  await writeJsonLines(path, records());
}
