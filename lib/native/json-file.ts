/** JSON files of model folders. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { WinnowError } from '../errors.js';
import { describeValue } from './checks.js';
import type { RawConfig } from './model-config.js';

/**
 * The object in a file; `hint` tells what to do where it cannot be read.
 *
 * @throws WinnowError ERR_FILE_OPEN, ERR_FILE_FORMAT
 */
export function readJsonObject(path: string, hint: string): RawConfig {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new WinnowError('ERR_FILE_OPEN', `cannot read ${path}`, {
      received: cause instanceof Error ? cause.message : String(cause),
      hint,
      cause,
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new WinnowError('ERR_FILE_FORMAT', `${path} is not JSON`, {
      received: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new WinnowError('ERR_FILE_FORMAT', `${path} does not fit`, {
      expected: 'a JSON object',
      received: describeValue(value),
    });
  return value as RawConfig;
}

/** Whole or not at all: a crash in the middle leaves the old file. */
export function writeJson(path: string, value: unknown): void {
  const partial = `${path}.partial`;
  try {
    const file = openSync(partial, 'w');
    try {
      writeSync(file, `${JSON.stringify(value, null, 2)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(partial, path);
  } catch (cause) {
    rmSync(partial, { force: true });
    throw new WinnowError('ERR_FILE_WRITE', `cannot write ${path}`, {
      received: cause instanceof Error ? cause.message : String(cause),
      hint: 'check the folder and its free space',
      cause,
    });
  }
}
