import { WinnowError } from '../errors.js';

/** Throws ERR_TASK_OPTION unless `holds`. */
export function requireOption(task: string, name: string, holds: boolean, expected: string, received: unknown): void {
  if (holds) return;
  throw new WinnowError('ERR_TASK_OPTION', `the option ${name} of ${task} cannot be used`, {
    expected,
    received: String(received),
  });
}

export function requireCount(task: string, name: string, value: number, least = 1): void {
  const expected = least === 1 ? 'a positive integer' : `an integer of at least ${least}`;
  requireOption(task, name, Number.isSafeInteger(value) && value >= least, expected, value);
}

/** A share that leaves something on both sides. */
export function requireShare(task: string, name: string, value: number): void {
  requireOption(task, name, value > 0 && value < 1, 'a number between 0 and 1', value);
}
