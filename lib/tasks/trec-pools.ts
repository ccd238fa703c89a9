import { join } from 'node:path';
import { readBeirCorpus } from '../data/beir.js';
import { readTsvCollection } from '../data/ms-marco.js';
import { loadQrels, type Qrels } from '../data/qrels.js';
import { type RankingRequest, readRankLlmRequests } from '../data/rank-llm.js';
import type { TextDocument } from '../data/text-records.js';
import { readTopics } from '../data/topics.js';
import { loadRun } from '../data/trec-run.js';
import { WinnowError } from '../errors.js';
import type { PassageSource } from './passage-sources.js';

interface Files {
  readonly qrels: readonly string[];
  readonly requests: readonly string[];
  readonly runs: readonly string[];
  readonly topics: readonly string[];
  readonly collections: readonly string[];
}

function sortFiles(names: readonly string[]): Files {
  const pick = (pattern: RegExp): string[] => names.filter((name) => pattern.test(name));
  return {
    qrels: pick(/^qrels/),
    requests: pick(/^(?:retrieve|requests?|rerank).*\.jsonl?$/),
    runs: pick(/^(?:run|trec_results).*|\.(?:run|trec)$/),
    topics: pick(/^(?:topics|queries).*\.(?:tsv|txt|xml|trec)$/),
    collections: pick(/^(?:collection|corpus).*\.(?:tsv|jsonl)$/),
  };
}

/** Grades of all files together; the same query and document in two files must have one grade. */
async function mergedQrels(folder: string, names: readonly string[]): Promise<Qrels> {
  const merged = new Map<string, Map<string, number>>();
  for (const name of names) {
    for (const [query, grades] of await loadQrels(join(folder, name))) {
      const known = merged.get(query) ?? new Map<string, number>();
      merged.set(query, known);
      for (const [document, grade] of grades) {
        const earlier = known.get(document);
        if (earlier !== undefined && earlier !== grade) {
          throw new WinnowError('ERR_DATA_QRELS', `${join(folder, name)} contradicts another file of the folder`, {
            expected: `grade ${earlier} for query ${query} and document ${document}`,
            received: String(grade),
          });
        }
        known.set(document, grade);
      }
    }
  }
  return merged;
}

async function* readRequests(folder: string, names: readonly string[]): AsyncGenerator<RankingRequest> {
  for (const name of names) yield* readRankLlmRequests(join(folder, name));
}

async function textsOf(folder: string, names: readonly string[], wanted: ReadonlySet<string>) {
  const texts = new Map<string, TextDocument>();
  for (const name of names) {
    const path = join(folder, name);
    for await (const document of name.endsWith('.tsv') ? readTsvCollection(path) : readBeirCorpus(path)) {
      if (wanted.has(document.id)) texts.set(document.id, document);
    }
  }
  return texts;
}

/** A run with the texts of its documents, looked up in collections that are streamed. */
async function* readRunRequests(folder: string, files: Files): AsyncGenerator<RankingRequest> {
  const queries = new Map<string, string>();
  for (const name of files.topics) {
    for await (const { id, text } of readTopics(join(folder, name))) queries.set(id, text);
  }
  for (const name of files.runs) {
    const path = join(folder, name);
    const run = await loadRun(path);
    const wanted = new Set([...run.queries.values()].flatMap((entries) => entries.map(({ documentId }) => documentId)));
    const texts = await textsOf(folder, files.collections, wanted);
    for (const [id, entries] of run.queries) {
      const text = queries.get(id);
      if (text === undefined) {
        throw new WinnowError('ERR_DATA_PASSAGES', `${path}:${entries[0]?.line} names a query without a topic`, {
          expected: `a query of ${files.topics.join(', ')}`,
          received: id,
        });
      }
      const candidates = entries.map(({ documentId, score, line }) => {
        const document = texts.get(documentId);
        if (document) return { ...document, score };
        throw new WinnowError('ERR_DATA_PASSAGES', `${path}:${line} names a document without a text`, {
          expected: `a document of ${files.collections.join(', ')}`,
          received: documentId,
        });
      });
      yield { query: { id, text }, candidates };
    }
  }
}

/**
 * TREC judgements over rankings: rank_llm requests, which hold texts (`retrieve*`, `request*`, `rerank*`), or where there are none a
 * run (`run*`, `trec_results*`, *.run, *.trec) with `topics*` and `collection*`. All qrels* of the folder count.
 */
export function trecPools(folder: string, names: readonly string[]): PassageSource {
  const files = sortFiles(names);
  const hasRequests = files.requests.length > 0;
  const parts = hasRequests ? files.requests : [...files.runs, ...files.topics, ...files.collections];
  if (!hasRequests && (files.runs.length === 0 || files.topics.length === 0 || files.collections.length === 0)) {
    throw new WinnowError('ERR_DATA_SOURCE', `${folder} has judgements but no passages`, {
      expected: 'rank_llm requests (retrieve*.json), or a run* with topics* and collection*',
      received: names.join(', ').slice(0, 120),
    });
  }
  return {
    format: 'trec',
    files: [...parts, ...files.qrels],
    async *pools({ depth }) {
      const qrels = await mergedQrels(folder, files.qrels);
      for await (const { query, candidates } of hasRequests
        ? readRequests(folder, files.requests)
        : readRunRequests(folder, files)) {
        const grades = qrels.get(query.id);
        if (!grades) continue;
        const passages = candidates
          .slice(0, depth)
          .map(({ id, title, text }) => ({ id, title, text, grade: grades.get(id) }));
        yield { query, passages };
      }
    },
  };
}
