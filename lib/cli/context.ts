import type { Command } from 'commander';
import { WinnowError } from '../errors.js';

/** What a command may use of the outside besides its options. */
export interface CommandContext {
  /** Aborted, with an InterruptedError as its reason, by Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal;
}

/** Each file of commands/ exports one; it adds its command, with options and action, to the program. */
export type RegisterCommand = (program: Command, context: CommandContext) => void;

/** The reason of an abort by a signal. */
export class InterruptedError extends WinnowError {
  /** 128 + the number of the signal, as shells report it. */
  readonly exitCode: number;

  constructor(name: 'SIGINT' | 'SIGTERM') {
    super('ERR_INTERRUPTED', `interrupted by ${name}`, {
      hint: 'what was complete is kept; commands that know --resume go on from there',
    });
    this.exitCode = name === 'SIGINT' ? 130 : 143;
  }
}

/**
 * A context whose signal follows SIGINT and SIGTERM: the first asks the command to stop in order, the second ends the process.
 * `release` takes the handlers away again.
 */
export function interruptibleContext(): { context: CommandContext; release: () => void } {
  const controller = new AbortController();
  const onSignal = (name: 'SIGINT' | 'SIGTERM'): void => {
    const reason = new InterruptedError(name);
    if (controller.signal.aborted) process.exit(reason.exitCode);
    controller.abort(reason);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  const release = (): void => {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  };
  return { context: { signal: controller.signal }, release };
}
