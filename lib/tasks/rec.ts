import { readInteractions } from '../data/index.js';
import type { Interactions } from '../data/interactions.js';
import { WinnowError } from '../errors.js';
import { RandomStream } from '../random.js';
import type { RankingInstance } from '../types.js';
import type { TokenCounter } from './card.js';
import { type BuiltTask, type UserSequence, writeBuiltTask } from './files.js';
import { requireCount, requireOption, requireShare } from './option-checks.js';
import { describeRec } from './rec-card.js';
import { testCountOf } from './split.js';

/** R1-Ranker's three; they differ in their source and in the words of the prompts. */
export const recTaskNames = ['Rec-Movie', 'Rec-Music', 'Rec-Game'] as const;
export type RecTaskName = (typeof recTaskNames)[number];

export interface RecOptions {
  /** Integer from 0 to 2^53 - 1. */
  readonly seed: number;
  /** Past items shown; default 20. */
  readonly history?: number;
  /** Default 19. */
  readonly negatives?: number;
  /**
   * Where negatives come from: all items of the source, or the user's list of its *.random file, in the order of the list.
   * Either way the user's own items are left out. Default 'items'.
   */
  readonly negativesFrom?: 'items' | 'lists';
  /** Which history + 1 interactions of a user: the first ones (R1-Ranker) or the last ones. Default 'first'. */
  readonly window?: 'first' | 'last';
  /** Share of the users on the test side; default 0.2. */
  readonly testShare?: number;
  /** This many of the eligible users, drawn at random; default all. */
  readonly users?: number;
  /**
   * Instances per training user, each from another stretch of history + 1 interactions drawn at random; fewer where a user has
   * fewer. Default 1: the `window` alone, as for test users.
   */
  readonly trainWindows?: number;
}

export interface RecTask extends BuiltTask {
  /** All interactions of the training users, oldest first: what baselines may learn from. */
  readonly trainSequences: readonly UserSequence[];
}

export type RecSettings = Required<Omit<RecOptions, 'users'>> & {
  readonly task: RecTaskName;
  readonly users: number | undefined;
};

function settle(task: RecTaskName, options: RecOptions): RecSettings {
  const settings: RecSettings = {
    task,
    seed: options.seed,
    history: options.history ?? 20,
    negatives: options.negatives ?? 19,
    negativesFrom: options.negativesFrom ?? 'items',
    window: options.window ?? 'first',
    testShare: options.testShare ?? 0.2,
    users: options.users,
    trainWindows: options.trainWindows ?? 1,
  };
  const { users, window, negativesFrom } = settings;
  requireCount(task, 'history', settings.history);
  requireCount(task, 'negatives', settings.negatives);
  requireShare(task, 'testShare', settings.testShare);
  requireOption(task, 'window', window === 'first' || window === 'last', "'first' or 'last'", window);
  const known = negativesFrom === 'items' || negativesFrom === 'lists';
  requireOption(task, 'negativesFrom', known, "'items' or 'lists'", negativesFrom);
  if (users !== undefined) requireCount(task, 'users', users, 2);
  requireCount(task, 'trainWindows', settings.trainWindows);
  return settings;
}

const streamOf = (settings: RecSettings, ...parts: readonly string[]): RandomStream =>
  new RandomStream(settings.seed, settings.task.toLowerCase(), ...parts);

/** First interactions of a user's stretches; that of `window` alone for a test user. */
function windowStarts(userId: string, sequence: readonly string[], settings: RecSettings, count: number): number[] {
  const last = sequence.length - settings.history - 1;
  if (count === 1) return [settings.window === 'first' ? 0 : last];
  const starts = Array.from({ length: last + 1 }, (_, start) => start);
  return streamOf(settings, 'windows', userId).sample(starts, Math.min(count, last + 1));
}

/** The items that may be negatives of a user: never the user's own. */
function negativePool(userId: string, data: Interactions, settings: RecSettings): string[] {
  const taken = new Set(data.sequences.get(userId));
  const lists = settings.negativesFrom === 'lists';
  const source = lists ? (data.candidateLists?.get(userId) ?? []) : [...data.titles.keys()];
  const pool = [...new Set(source)].filter((id) => !taken.has(id));
  if (pool.length < settings.negatives) {
    throw new WinnowError('ERR_TASK_DATA', `user ${userId} leaves too few items for the negatives`, {
      expected: `at least ${settings.negatives} items${lists ? ' of the candidate list' : ''} that the user never took`,
      received: String(pool.length),
    });
  }
  return pool;
}

function instancesOfUser(userId: string, data: Interactions, settings: RecSettings, count: number): RankingInstance[] {
  const sequence = data.sequences.get(userId) as readonly string[];
  const pool = negativePool(userId, data, settings);
  const random = streamOf(settings, 'candidates', userId);
  const title = (id: string) => data.titles.get(id) as string;
  return windowStarts(userId, sequence, settings, count).map((start) => {
    const history = sequence.slice(start, start + settings.history);
    const target = sequence[start + settings.history] as string;
    const negatives =
      settings.negativesFrom === 'lists' ? pool.slice(0, settings.negatives) : random.sample(pool, settings.negatives);
    const candidateIds = random.shuffled([target, ...negatives]);
    return {
      id: `${data.name}/${userId}${count === 1 ? '' : `@${start}`}`,
      task: settings.task,
      context: history.map(title).join('\n'),
      candidates: candidateIds.map((id) => ({ id, text: title(id) })),
      relevance: candidateIds.map((id) => (id === target ? 1 : 0)),
      meta: { userId, historyItemIds: history, targetItemId: target },
    };
  });
}

function eligibleUsers(data: Interactions, settings: RecSettings): string[] {
  const eligible = [...data.sequences].filter(([, { length }]) => length > settings.history).map(([userId]) => userId);
  const least = Math.max(2, settings.users ?? 2);
  if (eligible.length < least) {
    const longest = [...data.sequences.values()].reduce((most, { length }) => Math.max(most, length), 0);
    throw new WinnowError('ERR_TASK_DATA', 'too few users have enough interactions', {
      expected: `at least ${least} users with ${settings.history + 1} interactions or more`,
      received: `${eligible.length}; the longest sequence has ${longest}`,
      ...(longest > 1 && longest <= settings.history ? { hint: `a history of at most ${longest - 1} fits` } : {}),
    });
  }
  return eligible;
}

/**
 * R1-Ranker's recommendation tasks from interactions: `history` past items, one target, and negatives drawn uniformly from the
 * items that the user never took, shuffled. Users are split before any case is made. One line of the context is one past title.
 *
 * @throws WinnowError ERR_TASK_OPTION, ERR_TASK_DATA
 */
export function makeRecTask(
  name: RecTaskName,
  data: Interactions,
  options: RecOptions,
  countTokens?: TokenCounter,
): RecTask {
  const settings = settle(name, options);
  const eligible = eligibleUsers(data, settings);
  const wanted = settings.users ?? eligible.length;
  const shuffled = streamOf(settings, 'users').sample(eligible, wanted);
  const testCount = testCountOf(wanted, settings.testShare);
  const make = (count: number) => (userId: string) => instancesOfUser(userId, data, settings, count);
  const test = shuffled.slice(0, testCount).flatMap(make(1));
  const train = shuffled.slice(testCount).flatMap(make(settings.trainWindows));
  const itemIdsOf = (userId: string) => data.sequences.get(userId) as readonly string[];
  return {
    train,
    test,
    trainSequences: shuffled.slice(testCount).map((userId) => ({ userId, itemIds: itemIdsOf(userId) })),
    card: describeRec(data, settings, eligible.length, { train, test }, countTokens),
  };
}

/** Reads RecBole files or history lists from `source`; writes what `writeBuiltTask` writes. */
export async function buildRec(
  name: RecTaskName,
  options: RecOptions & { readonly source: string; readonly output: string },
  countTokens?: TokenCounter,
): Promise<Readonly<Record<string, unknown>>> {
  const task = makeRecTask(name, await readInteractions(options.source), options, countTokens);
  await writeBuiltTask(options.output, task);
  return task.card;
}
