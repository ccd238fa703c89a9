/** Rows of Parquet files, a row group at a time. */
import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
} from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { WinnowError } from '../errors.js';
import type { JsonLine } from './jsonl.js';

const code = 'ERR_DATA_PARQUET';

function unreadable(path: string, cause: unknown): WinnowError {
  const { code: errno, message } = cause as NodeJS.ErrnoException;
  return new WinnowError(code, `${path} cannot be read as Parquet`, {
    expected: 'a readable Parquet file',
    received: (errno ?? message ?? String(cause)).slice(0, 120),
    cause,
  });
}

/** What JSON would hold: integers of 64 bits become numbers, or decimal text beyond 2^53; typed arrays become lists. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Uint8Array || value instanceof Date) return value;
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>, plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

async function open(path: string): Promise<{ file: AsyncBuffer; metadata: FileMetaData }> {
  try {
    const file = await asyncBufferFromFile(path);
    return { file, metadata: await parquetMetadataAsync(file) };
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/** The library's own decoder would put a replacement character for what is not UTF-8. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const parsers = { stringFromBytes: (bytes: Uint8Array | undefined) => bytes && utf8.decode(bytes) };

/**
 * The rows as JSON values with their numbers from 1, streamed by row group. Columns of bytes are text; what is not UTF-8 is an
 * error.
 *
 * @param columns only these top-level columns; default all
 * @throws WinnowError ERR_DATA_PARQUET
 */
export async function* readParquetRows(path: string, columns?: readonly string[]): AsyncGenerator<JsonLine> {
  const { file, metadata } = await open(path);
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    let rows: Record<string, unknown>[];
    try {
      const request = { file, metadata, compressors, parsers, rowStart, rowEnd };
      rows = await parquetReadObjects(columns ? { ...request, columns: [...columns] } : request);
    } catch (cause) {
      throw unreadable(path, cause);
    }
    for (const [index, row] of rows.entries()) yield { number: rowStart + index + 1, value: plain(row) };
    rowStart = rowEnd;
  }
}
