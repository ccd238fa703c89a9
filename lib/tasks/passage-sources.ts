/** Folders of passages and judgements -> pools of one query each, whatever the format. */
import { join } from 'node:path';
import { openBeirFolder } from '../data/beir.js';
import { type JsonLine, readJsonLines } from '../data/jsonl.js';
import { readParquetRows } from '../data/parquet.js';
import { msMarcoPool, type PassagePool, tevatronPool } from '../data/passage-pools.js';
import { listFolder } from '../data/reading.js';
import { WinnowError } from '../errors.js';
import { beirPools } from './beir-pools.js';
import { trecPools } from './trec-pools.js';

export type PassageFormat = 'ms-marco' | 'tevatron' | 'beir' | 'trec';

export interface PoolOptions {
  readonly seed: number;
  /** How many passages of a query's ranking are offered as negatives. */
  readonly depth: number;
  /** BEIR only: where unjudged negatives come from. */
  readonly negativesFrom: 'bm25' | 'random';
}

export interface PassageSource {
  readonly format: PassageFormat;
  /** In the order in which they are read. */
  readonly files: readonly string[];
  /** Streamed anew at each call. */
  pools(options: PoolOptions): AsyncGenerator<PassagePool>;
}

const expected =
  'MS MARCO v1.1 or Tevatron *.parquet, Tevatron *.jsonl, a BEIR folder, or qrels* beside rank_llm requests or a TREC run';

/** By the beginning of a file's name, as Hugging Face names them. */
function sideOf(name: string): 'train' | 'test' | undefined {
  if (name.startsWith('train')) return 'train';
  return /^(?:test|dev|validation)/.test(name) ? 'test' : undefined;
}

const rowsOf = (path: string): AsyncGenerator<JsonLine> =>
  path.endsWith('.parquet') ? readParquetRows(path) : readJsonLines(path);

/** Files of rows: which of the two formats they have is what the first row says. */
async function rowSource(folder: string, names: readonly string[]): Promise<PassageSource> {
  const first = join(folder, names[0] as string);
  let row: unknown;
  for await (const { value } of rowsOf(first)) {
    row = value;
    break;
  }
  const has = (field: string): boolean => typeof row === 'object' && row !== null && field in row;
  const format = has('passages') ? 'ms-marco' : has('positive_passages') ? 'tevatron' : undefined;
  if (!format) {
    throw new WinnowError('ERR_DATA_SOURCE', `${first} holds no judged passages`, {
      expected: 'rows with passages, or with positive_passages and negative_passages',
      received:
        row === undefined
          ? 'no row'
          : Object.keys(row as object)
              .join(', ')
              .slice(0, 80),
    });
  }
  // The validation file stands in where there is no test file; of MS MARCO's test file everything is used.
  const hasTest = names.some((name) => name.startsWith('test'));
  const used = names.filter((name) => sideOf(name) !== 'test' || !hasTest || name.startsWith('test'));
  const sides = new Set(used.map(sideOf));
  const bothSides = sides.has('train') && sides.has('test');
  const toPool = format === 'ms-marco' ? msMarcoPool : tevatronPool;
  return {
    format,
    files: used,
    async *pools() {
      for (const name of used) {
        const side = bothSides ? (sideOf(name) ?? 'train') : undefined;
        const path = join(folder, name);
        for await (const line of rowsOf(path)) {
          const pool = toPool(line, path);
          yield side ? { ...pool, side } : pool;
        }
      }
    },
  };
}

/** Finds out what a folder holds. @throws WinnowError ERR_DATA_SOURCE, and at reading ERR_DATA_* with file, line and field */
export async function openPassageSource(folder: string): Promise<PassageSource> {
  const names = await listFolder(folder, expected);
  if (names.includes('corpus.jsonl') && names.includes('queries.jsonl')) {
    const beir = await openBeirFolder(folder);
    const files = ['corpus.jsonl', 'queries.jsonl', ...beir.splits.map((split) => `qrels/${split}.tsv`)];
    return { format: 'beir', files, pools: (options) => beirPools(beir, options) };
  }
  if (names.some((name) => name.startsWith('qrels'))) return trecPools(folder, names);
  const parquet = names.filter((name) => name.endsWith('.parquet'));
  const rows = parquet.length > 0 ? parquet : names.filter((name) => name.endsWith('.jsonl'));
  if (rows.length > 0) return rowSource(folder, rows);
  throw new WinnowError('ERR_DATA_SOURCE', `${folder} holds no judged passages`, {
    expected,
    received: names.slice(0, 5).join(', ') || 'an empty folder',
  });
}
