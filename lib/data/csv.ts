import { WinnowError } from '../errors.js';
import { readLines } from './lines.js';

const code = 'ERR_DATA_CSV';
/** A record of more lines has a quote that never closes. */
const maxRecordLines = 100_000;

export interface CsvRow {
  /** Line on which the record begins, from 1. */
  readonly line: number;
  /** By column name. */
  readonly fields: ReadonlyMap<string, string>;
}

/** The fields of one record; undefined while a quoted field is still open. */
function splitRecord(record: string, where: string): string[] | undefined {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (record[at] === '"') {
      let value = '';
      for (;;) {
        const quote = record.indexOf('"', at + 1);
        if (quote === -1) return undefined;
        value += record.slice(at + 1, quote);
        at = quote + 1;
        if (record[at] !== '"') break;
        value += '"';
      }
      fields.push(value);
      if (at < record.length && record[at] !== ',') {
        throw new WinnowError(code, `${where} has text after a closing quote`, {
          expected: 'a comma or the end of the line',
          received: JSON.stringify(record.slice(at, at + 20)),
        });
      }
    } else {
      const comma = record.indexOf(',', at);
      const end = comma === -1 ? record.length : comma;
      fields.push(record.slice(at, end));
      at = end;
    }
    if (at >= record.length) return fields;
    at++;
  }
}

interface CsvRecord {
  readonly line: number;
  readonly fields: readonly string[];
}

async function* readRecords(path: string): AsyncGenerator<CsvRecord> {
  let held: string[] = [];
  let start = 0;
  let quotes = 0;
  for await (const { number, text } of readLines(path, code)) {
    if (held.length === 0) {
      if (text.trim() === '') continue;
      start = number;
    }
    held.push(text);
    for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at + 1)) quotes++;
    // An open field holds an odd number of quotes so far: parsing waits for the line that can close it.
    if (quotes % 2 === 1 && held.length < maxRecordLines) continue;
    const fields = splitRecord(held.join('\n'), `${path}:${start}`);
    if (fields) {
      yield { line: start, fields };
      held = [];
      quotes = 0;
    }
  }
  if (held.length > 0) {
    throw new WinnowError(code, `${path}:${start} has a quoted field that never closes`, {
      expected: 'a closing quote',
    });
  }
}

/**
 * The rows of a CSV file (RFC 4180) with a header, streamed. Quoted fields may hold commas, doubled quotes and line breaks
 * (CRLF becomes LF). Blank lines between rows are skipped.
 *
 * @throws WinnowError ERR_DATA_CSV with file and line
 */
export async function* readCsv(path: string): AsyncGenerator<CsvRow> {
  let header: readonly string[] | undefined;
  for await (const { line, fields } of readRecords(path)) {
    if (!header) {
      header = fields;
      const repeated = header.find((name, index) => header?.indexOf(name) !== index);
      if (repeated !== undefined) {
        throw new WinnowError(code, `${path}:${line} names a column twice`, {
          expected: 'distinct column names',
          received: JSON.stringify(repeated),
        });
      }
      continue;
    }
    if (fields.length !== header.length) {
      throw new WinnowError(code, `${path}:${line} has the wrong number of fields`, {
        expected: `${header.length} fields, as in the header`,
        received: String(fields.length),
      });
    }
    yield { line, fields: new Map(header.map((name, index) => [name, fields[index] as string])) };
  }
  if (!header) throw new WinnowError(code, `${path} is empty`, { expected: 'a header of column names' });
}
