/** Reading typed fields out of parsed JSON, with errors that name file, line and field. */
import { fieldError, type Place, quoted } from './fields.js';

export type JsonObject = Readonly<Record<string, unknown>>;

export function asObject(value: unknown, place: Place, field: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw fieldError(place, field, 'is no object', {
      expected: 'a JSON object',
      received: quoted(JSON.stringify(value) ?? 'nothing'),
    });
  }
  return value as JsonObject;
}

export function asArray(value: unknown, place: Place, field: string): readonly unknown[] {
  if (!Array.isArray(value)) {
    throw fieldError(place, field, value === undefined ? 'is missing' : 'is no list', {
      expected: 'a JSON array',
      received: quoted(JSON.stringify(value) ?? 'nothing'),
    });
  }
  return value;
}

/** A string that is there. */
export function asString(value: unknown, place: Place, field: string): string {
  if (typeof value !== 'string') {
    throw fieldError(place, field, value === undefined ? 'is missing' : 'is no string', {
      expected: 'a JSON string',
      received: quoted(JSON.stringify(value) ?? 'nothing'),
    });
  }
  return value;
}

/** A string that is not empty, or an integer, which some tools write where an id is meant. */
export function asId(value: unknown, place: Place, field: string): string {
  if (Number.isSafeInteger(value)) return String(value);
  const text = asString(value, place, field);
  if (text === '') throw fieldError(place, field, 'is empty', { expected: 'an id', received: '""' });
  return text;
}

export function asFiniteNumber(value: unknown, place: Place, field: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw fieldError(place, field, value === undefined ? 'is missing' : 'is no number', {
      expected: 'a finite JSON number',
      received: quoted(JSON.stringify(value) ?? 'nothing'),
    });
  }
  return value;
}
