/** `train(config)`: a run that can be iterated for its events, awaited for its result, stopped, and resumed. */
import { WinnowError } from '../errors.js';
import type { AnyProtocol } from './cases.js';
import { type ResolvedConfig, resolveConfig, type TrainConfig } from './config.js';
import type { TrainEvent, TrainResult } from './events.js';
import { requireRewardOptions } from './reward-function.js';
import { runTraining } from './run.js';
import { type OwnParts, type Prepare, prepare } from './setup.js';

export interface TrainOptions extends OwnParts {
  /** Continue from the newest complete checkpoint in the output folder, or begin where there is none. */
  readonly resume?: boolean;
  /** Aborting ends the run at once, without a checkpoint; `stop()` ends it in order. */
  readonly signal?: AbortSignal;
  /** How the parts of the run are made; for tests and for engines of the caller's own. */
  readonly prepare?: Prepare;
}

/**
 * Starts nothing yet: iterating or awaiting does. Throws ERR_CONFIG_* or ERR_ARGUMENT at once for what cannot work.
 *
 * `for await (const event of train(config))` goes one event at a time: the run waits while the loop's body does. Leaving the
 * loop early stops the run after the step it has done and writes a checkpoint. `await train(config)` runs to the end.
 */
export function train(config: TrainConfig | ResolvedConfig, options: TrainOptions = {}): TrainingRun {
  requireRewardOptions(options);
  requireProtocol(options.protocol);
  return new TrainingRun(resolveConfig(config), options);
}

const kProtocolMethods = ['start', 'prompts', 'parse', 'advance', 'done', 'ranking', 'reward'] as const;

/** Types say the same to whoever has them. */
function requireProtocol(protocol: AnyProtocol | undefined): void {
  const missing = protocol && kProtocolMethods.find((method) => typeof protocol[method] !== 'function');
  if (missing === undefined) return;
  throw new WinnowError('ERR_ARGUMENT', `the protocol has no method ${missing}`, {
    expected: kProtocolMethods.join(', '),
    hint: 'see Protocol in the types, and docs/embedding.md',
  });
}

export class TrainingRun implements AsyncIterable<TrainEvent>, PromiseLike<TrainResult> {
  readonly config: ResolvedConfig;
  readonly #options: TrainOptions;
  readonly #result: Promise<TrainResult>;
  #settle!: { resolve: (result: TrainResult) => void; reject: (error: unknown) => void };
  #started = false;
  readonly #stop = new AbortController();

  constructor(config: ResolvedConfig, options: TrainOptions) {
    this.config = config;
    this.#options = options;
    this.#result = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever iterates gets the error from the loop; then nobody needs to listen here.
    this.#result.catch(() => {});
  }

  /** Ends the run in order: the step in progress is finished and a checkpoint written; the status is then `stopped`. */
  stop(): void {
    this.#stop.abort();
  }

  [Symbol.asyncIterator](): AsyncIterator<TrainEvent, undefined> {
    if (this.#started) {
      throw new WinnowError('ERR_RUN_STARTED', 'a run can be iterated once', {
        hint: 'keep the events of the first loop, or await the run for its result',
      });
    }
    this.#started = true;
    return this.#events();
  }

  /** Runs to the end unless the run is being iterated; then waits for that. */
  // biome-ignore lint/suspicious/noThenProperty: a run is awaitable by design
  then<Value = TrainResult, Failure = never>(
    onResult?: ((result: TrainResult) => Value | PromiseLike<Value>) | null,
    onError?: ((error: unknown) => Failure | PromiseLike<Failure>) | null,
  ): Promise<Value | Failure> {
    if (!this.#started) void this.#drain();
    return this.#result.then(onResult, onError);
  }

  async #drain(): Promise<void> {
    try {
      for await (const _ of this) {
      }
    } catch {
      // The same error rejects the result.
    }
  }

  async *#events(): AsyncGenerator<TrainEvent, undefined> {
    const { signal, resume, prepare: make, ...own } = this.#options;
    let ended: TrainResult | undefined;
    const events = runTraining(this.config, {
      resume: resume ?? false,
      signal: signal ?? new AbortController().signal,
      prepare: make ?? prepare,
      own,
      stop: this.#stop.signal,
      onEnd: (result) => {
        ended = result;
      },
    });
    try {
      yield* events;
    } catch (error) {
      this.#settle.reject(error);
      throw error;
    } finally {
      // Only here has everything been freed; also when the loop was left early.
      if (ended !== undefined) this.#settle.resolve(ended);
    }
    return undefined;
  }
}
