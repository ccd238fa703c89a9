/** What the line-by-line readers share: splitting a line into fields, and errors that name file, line and field. */
import { WinnowError } from '../errors.js';

/** Where a value stands, for the message of an error. */
export interface Place {
  readonly code: string;
  readonly path: string;
  /** From 1. */
  readonly line: number;
}

/** `path:line: field ...` as a WinnowError. */
export function fieldError(
  { code, path, line }: Place,
  field: string,
  problem: string,
  details: { readonly expected: string; readonly received?: string; readonly hint?: string },
): WinnowError {
  return new WinnowError(code, `${path}:${line}: ${field} ${problem}`, details);
}

/** A value in quotes, short enough for one line. */
export const quoted = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);

/** What isspace() of C takes for white space; other Unicode spaces belong to a field. */
const isSpace = (unit: number): boolean => unit === 32 || (unit >= 9 && unit <= 13);

/** The fields of a line as C programs read them: runs of anything but white space. */
export function splitAtSpace(text: string): string[] {
  const fields: string[] = [];
  let start = -1;
  for (let i = 0; i < text.length; i++) {
    const space = isSpace(text.charCodeAt(i));
    if (space && start >= 0) {
      fields.push(text.slice(start, i));
      start = -1;
    } else if (!space && start < 0) start = i;
  }
  if (start >= 0) fields.push(text.slice(start));
  return fields;
}

export const hasSpace = (text: string): boolean => /[\t-\r ]/.test(text);

/** Decimal notation, as files of numbers have it; JavaScript's Number would also take '' and '0x10'. */
const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** A finite number. */
export function parseNumber(text: string, place: Place, field: string): number {
  const value = decimal.test(text) ? Number(text) : Number.NaN;
  if (!Number.isFinite(value)) {
    throw fieldError(place, field, 'is no number', { expected: 'a finite decimal number', received: quoted(text) });
  }
  return value;
}

/** An integer of at most 15 digits. */
export function parseInteger(text: string, place: Place, field: string, hint?: string): number {
  if (!/^[+-]?\d{1,15}$/.test(text)) {
    throw fieldError(place, field, 'is no integer', {
      expected: 'an integer',
      received: quoted(text),
      ...(hint === undefined ? {} : { hint }),
    });
  }
  return Number(text);
}

/** Exactly two fields with a TAB between them, the first without white space around it and not empty. */
export function splitPair(text: string, place: Place, first: string, second: string): [string, string] {
  const fields = text.split('\t');
  if (fields.length !== 2) {
    const isShort = fields.length < 2;
    throw fieldError(place, isShort ? second : `a field after ${second}`, isShort ? 'is missing' : 'is too many', {
      expected: `${first} TAB ${second}`,
      received: `${fields.length} TAB-separated fields: ${quoted(text)}`,
      ...(isShort ? {} : { hint: 'a text must not hold a TAB' }),
    });
  }
  const [id = '', value = ''] = fields;
  if (id === '' || id.trim() !== id) {
    throw fieldError(place, first, 'is no id', {
      expected: 'an id without white space around it',
      received: quoted(id),
    });
  }
  return [id, value];
}
