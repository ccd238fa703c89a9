import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';

/** A folder that is gone after the tests of the file, and a way to put files into it. */
export function temporaryFolder(name: string) {
  const folder = mkdtempSync(join(tmpdir(), `winnow-${name}-`));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const namedFile = (name: string, content: string | Uint8Array): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  let count = 0;
  const file = (content: string | Uint8Array): string => namedFile(`file-${count++}`, content);
  return { folder, file, namedFile };
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** An error with this code whose message holds the line and the field. */
export const at = (code: string, line: number, field: string) =>
  expect.objectContaining({ code, message: expect.stringMatching(new RegExp(`:${line}: ${field}`)) });
