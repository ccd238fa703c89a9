/** Rewards of the caller's own: one call for a whole batch of completions, in time or not at all, each value checked. */
import { WinnowError } from '../errors.js';
import type { Answer, Completion, Prompt, RankingInstance, Reward } from '../types.js';

/** One completion to be rewarded. Those of one prompt stand together. */
export interface RewardEntry {
  readonly instance: RankingInstance;
  readonly prompt: Prompt;
  readonly completion: Completion;
  /** What the protocol reads in the completion; a malformed one is to be rewarded too. */
  readonly answer: Answer;
}

/** A number is a reward without named parts. */
export type RewardValue = number | Reward;

/**
 * One value for each entry, in the order of the batch; the batch is all that a step samples, or one round of dynamic sampling.
 * The array, its values, or both may be promises: `(batch) => batch.map(async (entry) => ...)` runs them all at once, and a
 * failure then names its own instance. `signal` is aborted when the time is up or the run ends. Random draws of the function's
 * own, or the answers of a remote judge, make a run impossible to repeat to the bit; everything else about it stays repeatable.
 */
export type RewardFunction = (
  batch: readonly RewardEntry[],
  options: { readonly signal: AbortSignal },
) => MaybeLater<readonly MaybeLater<RewardValue>[]>;

type MaybeLater<Value> = Value | PromiseLike<Value>;

export interface RewardOptions {
  /** In place of the protocol's. */
  readonly reward?: RewardFunction;
  /** Most milliseconds for one batch, the protocol's own rewards too; default 60,000. Code that blocks the thread is not interrupted. */
  readonly rewardTimeoutMs?: number;
}

const kTimeoutMs = 60_000;
const kLongestTimeoutMs = 2 ** 31 - 1;

/** Throws ERR_ARGUMENT for options that cannot be used. */
export function requireRewardOptions({ reward, rewardTimeoutMs = kTimeoutMs }: RewardOptions): void {
  if (reward !== undefined && typeof reward !== 'function') {
    throw new WinnowError('ERR_ARGUMENT', 'reward is not a function', {
      expected: '(batch, { signal }) => rewards',
      received: typeof reward,
    });
  }
  if (!(rewardTimeoutMs > 0 && rewardTimeoutMs <= kLongestTimeoutMs)) {
    throw new WinnowError('ERR_ARGUMENT', 'rewardTimeoutMs is no time limit', {
      expected: `milliseconds above 0, at most ${kLongestTimeoutMs}`,
      received: String(rewardTimeoutMs),
    });
  }
}

/** The rewards of `entries`, aligned with them. Throws ERR_REWARD, naming the instance; a defect must not look like a reward of 0. */
export async function rewardAll(
  reward: RewardFunction,
  entries: readonly RewardEntry[],
  { rewardTimeoutMs = kTimeoutMs, signal }: Pick<RewardOptions, 'rewardTimeoutMs'> & { readonly signal: AbortSignal },
): Promise<Reward[]> {
  if (entries.length === 0) return [];
  signal.throwIfAborted();
  const open = new Set(entries);
  const ending = new AbortController();
  const either = AbortSignal.any([signal, ending.signal]);
  const timer = setTimeout(() => ending.abort(lateness(rewardTimeoutMs, open)), rewardTimeoutMs);
  try {
    const cut = new Promise<never>((_, reject) => {
      either.addEventListener('abort', () => reject(either.reason), { once: true });
    });
    return await Promise.race([cut, collect(reward, entries, either, open)]);
  } catch (error) {
    // Whoever still works on this batch works in vain.
    ending.abort(error);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function collect(
  reward: RewardFunction,
  entries: readonly RewardEntry[],
  signal: AbortSignal,
  open: Set<RewardEntry>,
): Promise<Reward[]> {
  const values = await attempt(entries, async () => reward(entries, { signal }));
  if (!Array.isArray(values) || values.length !== entries.length) {
    throw new WinnowError('ERR_REWARD', `the rewards of ${namesOf(entries)} do not fit the batch`, {
      expected: `an array of ${entries.length}, one for each completion`,
      received: Array.isArray(values) ? `an array of ${values.length}` : typeof values,
    });
  }
  return Promise.all(
    entries.map(async (entry, index) => {
      const value = await attempt([entry], async () => values[index] as MaybeLater<RewardValue>);
      open.delete(entry);
      return checked(value, entry);
    }),
  );
}

/** What the caller's code throws, as an ERR_REWARD that names the instances it was about. */
async function attempt<Value>(about: readonly RewardEntry[], work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (cause) {
    throw new WinnowError('ERR_REWARD', `the reward of ${namesOf(about)} failed`, {
      received: cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause),
      hint:
        about.length === 1
          ? 'the run stops here, because a defect must not look like a reward of zero'
          : 'return one promise an entry, batch.map(async (entry) => ...), and the error names its instance',
      cause,
    });
  }
}

function checked(value: unknown, { instance }: RewardEntry): Reward {
  const given = typeof value === 'number' ? { value, parts: {} } : (value as Partial<Reward> | null | undefined);
  const numbers = [given?.value, ...Object.values(given?.parts ?? {})];
  if (numbers.every((number) => typeof number === 'number' && Number.isFinite(number))) {
    return { value: given?.value as number, parts: given?.parts ?? {} };
  }
  throw new WinnowError('ERR_REWARD', `the reward of instance ${instance.id} is not a number`, {
    expected: 'a finite number, or { value, parts } of finite numbers',
    received:
      typeof value === 'object' ? `value ${given?.value}, parts ${JSON.stringify(given?.parts)}` : String(value),
  });
}

function lateness(timeoutMs: number, open: ReadonlySet<RewardEntry>): WinnowError {
  return new WinnowError('ERR_REWARD', `the reward of ${namesOf([...open])} took too long`, {
    expected: `an answer within ${timeoutMs} ms`,
    hint: 'raise rewardTimeoutMs, or give the reward less to wait for',
  });
}

const kNamed = 3;

function namesOf(entries: readonly RewardEntry[]): string {
  const ids = [...new Set(entries.map(({ instance }) => instance.id))];
  const named = ids.slice(0, kNamed).join(', ');
  return `${ids.length === 1 ? 'instance' : 'instances'} ${named}${ids.length > kNamed ? ` and ${ids.length - kNamed} more` : ''}`;
}
