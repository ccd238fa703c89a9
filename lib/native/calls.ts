import { WinnowError } from '../errors.js';
import type { Addon, CallControl, SessionHandle } from './addon-types.js';

/** What every long call takes last. */
export interface CallOptions {
  /** Aborting rejects the call with `signal.reason`; the engine stops at the next token or micro-batch. */
  signal?: AbortSignal;
  /** At most about twenty times a second, and once at the end. */
  onProgress?: (done: number, total: number) => void;
}

interface NativeFailure extends Error {
  code: string;
  expected?: string;
  received?: string;
  hint?: string;
}

function isNativeFailure(error: unknown): error is NativeFailure {
  return error instanceof Error && typeof (error as Partial<NativeFailure>).code === 'string';
}

/** The addon's plain error as a WinnowError with the stack of the caller; anything else is returned as it is. */
export function toWinnowError(error: unknown): unknown {
  if (!isNativeFailure(error)) return error;
  const details: { expected?: string; received?: string; hint?: string } = {};
  if (error.expected) details.expected = error.expected;
  if (error.received) details.received = error.received;
  if (error.hint) details.hint = error.hint;
  const result = new WinnowError(error.code, error.message, details);
  if (error.stack) result.stack = error.stack.replace(/^Error/, 'WinnowError');
  return result;
}

/** Runs a synchronous call of the addon. */
export function callNow<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw toWinnowError(error);
  }
}

/** The long calls of one session: gives each an id, and carries its AbortSignal over the border. */
export class CallRunner {
  readonly #addon: Addon;
  readonly #handle: SessionHandle;
  #nextId = 1;

  constructor(addon: Addon, handle: SessionHandle) {
    this.#addon = addon;
    this.#handle = handle;
  }

  async run<Result>(call: (control: CallControl) => Promise<Result>, options: CallOptions = {}): Promise<Result> {
    const { signal, onProgress } = options;
    if (signal?.aborted) throw signal.reason;
    const id = this.#nextId++;
    const control: CallControl = onProgress ? { id, onProgress } : { id };
    const abort = () => this.#addon.cancelCall(this.#handle, id);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      return await call(control);
    } catch (error) {
      if (signal?.aborted && isNativeFailure(error) && error.code === 'ERR_ABORTED') throw signal.reason;
      throw toWinnowError(error);
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** A call that cannot be aborted. */
  async settle<Result>(call: () => Promise<Result>): Promise<Result> {
    try {
      return await call();
    } catch (error) {
      throw toWinnowError(error);
    }
  }
}
