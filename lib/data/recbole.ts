import { WinnowError } from '../errors.js';
import { readLines } from './lines.js';

export type RecboleType = 'token' | 'token_seq' | 'float' | 'float_seq';

export interface RecboleColumn {
  readonly name: string;
  readonly type: RecboleType;
}

export interface RecboleRow {
  /** Line in the file, from 1; the header is line 1. */
  readonly line: number;
  /** The fields as written, in the order of the columns. */
  readonly fields: readonly string[];
}

export interface RecboleTable {
  readonly path: string;
  readonly columns: readonly RecboleColumn[];
  /** Can be iterated once. */
  readonly rows: AsyncGenerator<RecboleRow>;
  /** Index of a column; ERR_DATA_RECBOLE when it is missing. */
  column(name: string): number;
  /** A `float` field as a number; ERR_DATA_RECBOLE with file and line when it is none. */
  float(row: RecboleRow, column: number): number;
}

const columnTypes: readonly string[] = ['token', 'token_seq', 'float', 'float_seq'];

function parseHeader(path: string, text: string): RecboleColumn[] {
  const columns = text.split('\t').map((field) => {
    const colon = field.lastIndexOf(':');
    const name = field.slice(0, colon).trim();
    const type = field.slice(colon + 1).trim();
    if (colon < 1 || name === '' || !columnTypes.includes(type)) {
      throw new WinnowError('ERR_DATA_RECBOLE', `${path}:1 is not a header of a RecBole atomic file`, {
        expected: 'TAB-separated name:type with the types token, token_seq, float, float_seq',
        received: JSON.stringify(field),
      });
    }
    return { name, type: type as RecboleType };
  });
  const names = new Set(columns.map((column) => column.name));
  if (names.size !== columns.length) {
    throw new WinnowError('ERR_DATA_RECBOLE', `${path}:1 names a column twice`, {
      expected: 'distinct column names',
      received: columns.map((column) => column.name).join(' '),
    });
  }
  return columns;
}

/**
 * Opens a RecBole atomic file (https://recbole.io/docs/user_guide/data/atomic_files.html): a header of typed columns, then one
 * TAB-separated row a line. Rows are streamed. CRLF, a byte-order mark and blank lines are accepted.
 */
export async function openRecboleFile(path: string): Promise<RecboleTable> {
  const lines = readLines(path, 'ERR_DATA_RECBOLE');
  const first = await lines.next();
  if (first.done) {
    throw new WinnowError('ERR_DATA_RECBOLE', `${path} is empty`, { expected: 'a header of typed columns' });
  }
  const columns = parseHeader(path, first.value.text);
  async function* rows(): AsyncGenerator<RecboleRow> {
    for await (const { number, text } of lines) {
      if (text.trim() === '') continue;
      const fields = text.split('\t');
      if (fields.length !== columns.length) {
        throw new WinnowError('ERR_DATA_RECBOLE', `${path}:${number} has the wrong number of columns`, {
          expected: `${columns.length} TAB-separated columns`,
          received: String(fields.length),
        });
      }
      yield { line: number, fields };
    }
  }
  return {
    path,
    columns,
    rows: rows(),
    column(name) {
      const index = columns.findIndex((column) => column.name === name);
      if (index === -1) {
        throw new WinnowError('ERR_DATA_RECBOLE', `${path}:1 lacks the column ${name}`, {
          expected: `a column ${name}`,
          received: columns.map((column) => column.name).join(', '),
        });
      }
      return index;
    },
    float(row, column) {
      const text = row.fields[column] ?? '';
      const value = text.trim() === '' ? Number.NaN : Number(text);
      if (!Number.isFinite(value)) {
        throw new WinnowError('ERR_DATA_RECBOLE', `${path}:${row.line} has a field that is no number`, {
          expected: `a number in column ${columns[column]?.name}`,
          received: JSON.stringify(text),
        });
      }
      return value;
    },
  };
}
