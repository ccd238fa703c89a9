/** A small collection with a run over it, in every format that `winnow rank` reads. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RandomStream } from '../../lib/random.js';
import { makeModelFolder } from './support.js';

export const queryCount = 24;
export const depth = 4;
/** Documents of the queries in turn: they need different numbers of questions, so they do not finish in the order of the run. */
const documentCounts = [6, 2, 5, 7, 3];

export interface RankCase {
  readonly model: string;
  readonly run: string;
  readonly queries: string;
  readonly passages: string;
  /** Of each query, in the order of the run's scores. */
  readonly order: ReadonlyMap<string, readonly string[]>;
  readonly queryTexts: ReadonlyMap<string, string>;
  readonly passageTexts: ReadonlyMap<string, string>;
}

const words = ['ant', 'bee', 'cat', 'dog', 'elk', 'fox', 'gnu', 'hen', 'ibis', 'jay'];

/** The lines of a query stand in no order of their scores. */
export async function makeRankCase(folder: string): Promise<RankCase> {
  const random = new RandomStream(1, 'rank-case');
  const phrase = (): string => random.sample(words, 3).join(' ');
  const passageTexts = new Map(Array.from({ length: 60 }, (_, index) => [`d${index}`, `${phrase()} ${index}`]));
  const queryTexts = new Map(
    Array.from({ length: queryCount }, (_, index) => [`q${(index * 7) % queryCount}`, phrase()]),
  );
  const order = new Map<string, readonly string[]>();
  let run = '';
  for (const id of queryTexts.keys()) {
    const count = documentCounts[order.size % documentCounts.length] as number;
    const documents = random.sample([...passageTexts.keys()], count);
    order.set(id, documents);
    const lines = documents.map((document, rank) => `${id} Q0 ${document} 0 ${(9 - rank) / 3} bm25\n`);
    run += random.shuffled(lines).join('');
  }
  const tsv = (texts: ReadonlyMap<string, string>): string =>
    [...texts].map(([id, text]) => `${id}\t${text}\n`).join('');
  const paths = {
    run: join(folder, 'run'),
    queries: join(folder, 'queries.tsv'),
    passages: join(folder, 'passages.tsv'),
  };
  writeFileSync(paths.run, run);
  writeFileSync(paths.queries, tsv(queryTexts));
  writeFileSync(paths.passages, tsv(passageTexts));
  const texts = [...queryTexts.values(), ...passageTexts.values()];
  return { ...paths, model: await makeModelFolder(join(folder, 'model'), texts), order, queryTexts, passageTexts };
}

/** Lines of the run that the first queries take. */
export function linesOf({ order }: RankCase, queries = queryCount): number {
  return [...order.values()].slice(0, queries).reduce((sum, documents) => sum + documents.length, 0);
}

export function rankArguments({ model, run, queries, passages }: RankCase, output: string): string[] {
  const files = ['--model', model, '--run', run, '--queries', queries, '--passages', passages, '--output', output];
  return ['rank', ...files, '--depth', String(depth), '--threads', '1', '--device', 'cpu'];
}

/** Sampled answers of an untrained model: nonsense, but what is asked and drawn depends on everything. */
export const sampled = ['--wording', 'compact', '--max-tokens', '3', '--temperature', '1', '--seed', '5'];

/** Two answers' log-odds: a real order. */
export const scored = ['--protocol', 'pointwise', '--wording', 'compact'].concat(
  ['positive= ant', 'negative= bee'].flatMap((option) => ['--protocol-option', option]),
);
