export { writeFileAtomic } from './atomic-file.js';
export { type BeirFolder, openBeirFolder, readBeirCorpus, readBeirQueries } from './beir.js';
export { type CsvRow, readCsv } from './csv.js';
export { loadInstances, readInstances, validateInstance, writeInstances } from './instances.js';
export { type Interactions, readInteractions } from './interactions.js';
export { type JsonLine, readJsonLines, writeJsonLines } from './jsonl.js';
export { readTsvCollection, readTsvQueries } from './ms-marco.js';
export { readParquetRows } from './parquet.js';
export { loadBeirQrels, loadQrels, type Qrels, writeQrels } from './qrels.js';
export {
  type RankingRequest,
  type RankLlmInvocation,
  type RankLlmResult,
  type RequestCandidate,
  readRankLlmRequests,
  writeRankLlmResults,
} from './rank-llm.js';
export { openRecboleFile, type RecboleColumn, type RecboleRow, type RecboleTable } from './recbole.js';
export type { RoutingOutcome, RoutingQuery, RoutingTable } from './routing.js';
export { readRoutingFolder } from './routing-folder.js';
export { loadTexts, readPassages, readQueries } from './text-lookup.js';
export type { TextDocument, TextQuery } from './text-records.js';
export { readTopics, type Topic } from './topics.js';
export {
  loadRun,
  type Run,
  type RunEntry,
  type RunLine,
  type RunQuery,
  readMsMarcoRun,
  readRun,
  readRunByQuery,
} from './trec-run.js';
export { formatRunLines, type RankedQuery, strictlyDecreasingScores, writeRun } from './trec-run-writer.js';
