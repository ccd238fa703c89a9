// One trial's request and reply: what the peers that run in Node.js share. README.md has the fields.
import { readFileSync } from 'node:fs';

export const EXIT_NOT_DONE = 3;

/** The peer does not do this benchmark, or not with this dtype. */
export class NotDone extends Error {}

export const readRequest = () => JSON.parse(readFileSync(0, 'utf8'));

export const isGreedy = (request) => request.sampling === 'greedy' || request.temperature === 0;

/** Prints the reply: the last line of stdout. */
export function reply(fields) {
  const peakResidentBytes = process.resourceUsage().maxRSS * 1024;
  process.stdout.write(`${JSON.stringify({ ...fields, peakResidentBytes })}\n`);
}

export const secondsSince = (started) => (performance.now() - started) / 1000;

/** How many tokens the two lists start with in common. */
export function sharedLength(left, right) {
  const limit = Math.min(left.length, right.length);
  for (let i = 0; i < limit; i++) if (left[i] !== right[i]) return i;
  return limit;
}
