/** Queries and passages in whatever format a file has, and the texts of those that are wanted. */
import { readBeirCorpus, readBeirQueries } from './beir.js';
import { readLines } from './lines.js';
import { readTsvCollection } from './ms-marco.js';
import { readRankLlmRequests } from './rank-llm.js';
import type { TextDocument, TextQuery } from './text-records.js';
import { readTopics } from './topics.js';

async function firstCharacter(path: string): Promise<string | undefined> {
  for await (const { text } of readLines(path, 'ERR_DATA_COLLECTION')) {
    if (text.trim() !== '') return text.trimStart()[0];
  }
  return undefined;
}

/**
 * Queries, streamed. What the file begins with tells its format: `<` TREC topics (the title is the query), `{` BEIR's queries.jsonl,
 * `[` requests of rank_llm, anything else `query id TAB query`.
 *
 * @param path a file; it is opened twice
 * @throws WinnowError ERR_DATA_TOPICS, ERR_DATA_COLLECTION, ERR_DATA_RANK_LLM, ERR_DATA_JSONL with file, line and field
 */
export async function* readQueries(path: string): AsyncGenerator<TextQuery> {
  const first = await firstCharacter(path);
  if (first === '{') yield* readBeirQueries(path);
  else if (first === '[') for await (const { query } of readRankLlmRequests(path)) yield query;
  else for await (const { id, text } of readTopics(path)) yield { id, text };
}

/**
 * Passages, streamed: `{` BEIR's corpus.jsonl, `[` requests of rank_llm, whose candidates may come several times, anything else
 * MS MARCO's `passage id TAB passage`.
 *
 * @param path a file; it is opened twice
 * @throws WinnowError ERR_DATA_COLLECTION, ERR_DATA_RANK_LLM, ERR_DATA_JSONL with file, line and field
 */
export async function* readPassages(path: string): AsyncGenerator<TextDocument> {
  const first = await firstCharacter(path);
  if (first === '{') yield* readBeirCorpus(path);
  else if (first === '[') for await (const { candidates } of readRankLlmRequests(path)) yield* candidates;
  else yield* readTsvCollection(path);
}

/** The texts by id, the title before the text; blank ones are left out. Only those that are wanted are held. */
export async function loadTexts(
  records: AsyncIterable<TextQuery & { readonly title?: string }>,
  wanted: { has(id: string): boolean },
): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for await (const { id, title = '', text } of records) {
    const whole = `${title} ${text}`.trim();
    if (whole !== '' && wanted.has(id)) texts.set(id, whole);
  }
  return texts;
}
