/** Where results go: a file that appears whole or not at all, or the standard output. */
import { once } from 'node:events';
import { writeFileAtomic } from '../data/atomic-file.js';
import { WinnowError } from '../errors.js';

/** Writes records as JSON lines to `path`, or to the standard output when it is "-". */
export async function writeRecords(path: string, records: AsyncIterable<unknown>): Promise<void> {
  if (path === '-') for await (const line of asLines(records)) await writeStdout(line);
  else await writeFileAtomic(path, asLines(records));
}

async function* asLines(records: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const record of records) yield `${JSON.stringify(record)}\n`;
}

export async function writeStdout(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain');
}

/** f32 values as JSON numbers of at most 9 digits, which read back as the same f32. The first of a sequence may be NaN: null. */
export function logprobsToJson(logprobs: Float32Array): (number | null)[] {
  return Array.from(logprobs, (value, index) => {
    if (Number.isFinite(value)) return Number(value.toPrecision(9));
    if (index === 0 && Number.isNaN(value)) return null;
    throw new WinnowError('ERR_NON_FINITE', `the log-probability of token ${index} is ${value}`, {
      expected: 'a finite number',
      hint: 'the weights hold NaN or infinity, or overflow in this dtype',
    });
  });
}
