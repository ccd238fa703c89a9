import { join } from 'node:path';
import { writeFileAtomic } from '../data/atomic-file.js';
import { writeInstances } from '../data/instances.js';
import { type Interactions, readInteractions } from '../data/interactions.js';
import { writeJsonLines } from '../data/jsonl.js';
import { WinnowError } from '../errors.js';
import { RandomStream } from '../random.js';
import type { RankingInstance } from '../types.js';

export interface RecMovieOptions {
  /** Integer from 0 to 2^53 - 1. */
  readonly seed: number;
  /** Past items shown; default 20. */
  readonly history?: number;
  /** Default 19. */
  readonly negatives?: number;
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

export interface RecMovieTask {
  readonly train: readonly RankingInstance[];
  readonly test: readonly RankingInstance[];
  /** All interactions of the training users, oldest first: what baselines may learn from. */
  readonly trainSequences: readonly { readonly userId: string; readonly itemIds: readonly string[] }[];
  readonly card: Readonly<Record<string, unknown>>;
}

type Settings = Required<Omit<RecMovieOptions, 'users'>> & { readonly users: number | undefined };

function settle(options: RecMovieOptions): Settings {
  const settings: Settings = {
    seed: options.seed,
    history: options.history ?? 20,
    negatives: options.negatives ?? 19,
    window: options.window ?? 'first',
    testShare: options.testShare ?? 0.2,
    users: options.users,
    trainWindows: options.trainWindows ?? 1,
  };
  const reject = (name: string, expected: string, received: unknown): never => {
    throw new WinnowError('ERR_TASK_OPTION', `the option ${name} of Rec-Movie cannot be used`, {
      expected,
      received: String(received),
    });
  };
  if (!Number.isInteger(settings.history) || settings.history < 1) {
    reject('history', 'a positive integer', settings.history);
  }
  if (!Number.isInteger(settings.negatives) || settings.negatives < 1) {
    reject('negatives', 'a positive integer', settings.negatives);
  }
  if (!(settings.testShare > 0 && settings.testShare < 1)) {
    reject('testShare', 'a number between 0 and 1', settings.testShare);
  }
  if (settings.window !== 'first' && settings.window !== 'last') {
    reject('window', "'first' or 'last'", settings.window);
  }
  if (settings.users !== undefined && (!Number.isInteger(settings.users) || settings.users < 2)) {
    reject('users', 'an integer of at least 2', settings.users);
  }
  if (!Number.isInteger(settings.trainWindows) || settings.trainWindows < 1) {
    reject('trainWindows', 'a positive integer', settings.trainWindows);
  }
  return settings;
}

/** First interactions of a user's stretches; that of `window` alone for a test user. */
function windowStarts(userId: string, sequence: readonly string[], settings: Settings, count: number): number[] {
  const last = sequence.length - settings.history - 1;
  if (count === 1) return [settings.window === 'first' ? 0 : last];
  const starts = Array.from({ length: last + 1 }, (_, start) => start);
  return new RandomStream(settings.seed, 'rec-movie', 'windows', userId).sample(starts, Math.min(count, last + 1));
}

function instancesOfUser(
  userId: string,
  data: Interactions,
  sequence: readonly string[],
  settings: Settings,
  count: number,
): RankingInstance[] {
  const taken = new Set(sequence);
  const pool = [...data.titles.keys()].filter((id) => !taken.has(id));
  if (pool.length < settings.negatives) {
    throw new WinnowError('ERR_TASK_DATA', `user ${userId} leaves too few items for the negatives`, {
      expected: `at least ${settings.negatives} items that the user never took`,
      received: String(pool.length),
    });
  }
  const random = new RandomStream(settings.seed, 'rec-movie', 'candidates', userId);
  const title = (id: string) => data.titles.get(id) as string;
  return windowStarts(userId, sequence, settings, count).map((start) => {
    const history = sequence.slice(start, start + settings.history);
    const target = sequence[start + settings.history] as string;
    const candidateIds = random.shuffled([target, ...random.sample(pool, settings.negatives)]);
    return {
      id: `${data.name}/${userId}${count === 1 ? '' : `@${start}`}`,
      task: 'Rec-Movie',
      context: history.map(title).join('\n'),
      candidates: candidateIds.map((id) => ({ id, text: title(id) })),
      relevance: candidateIds.map((id) => (id === target ? 1 : 0)),
      meta: { userId, historyItemIds: history, targetItemId: target },
    };
  });
}

/** What the builder notes in `RankingInstance.meta`. */
interface RecMovieMeta {
  readonly userId: string;
  readonly historyItemIds: readonly string[];
  readonly targetItemId: string;
}

const metaOf = (instance: RankingInstance): RecMovieMeta => instance.meta as unknown as RecMovieMeta;

function hasRepeatedTitle(instance: RankingInstance): boolean {
  return new Set(instance.candidates.map(({ text }) => text)).size < instance.candidates.length;
}

/** Counts, seeds, and the checks that the builder promises, computed from the finished instances. */
function describe(
  data: Interactions,
  settings: Settings,
  eligible: number,
  train: readonly RankingInstance[],
  test: readonly RankingInstance[],
): Record<string, unknown> {
  const userOf = (instance: RankingInstance): string => metaOf(instance).userId;
  const trainUsers = new Set(train.map(userOf));
  const all = [...train, ...test];
  const titleCounts = new Map<string, number>();
  for (const title of data.titles.values()) titleCounts.set(title, (titleCounts.get(title) ?? 0) + 1);
  const falseNegatives = all.filter((instance) => {
    const taken = new Set(data.sequences.get(userOf(instance)));
    return instance.candidates.some(({ id }, index) => instance.relevance[index] === 0 && taken.has(id));
  });
  return {
    task: 'Rec-Movie',
    source: data.name,
    settings,
    counts: {
      users: data.sequences.size,
      eligibleUsers: eligible,
      items: data.titles.size,
      interactions: data.interactionCount,
      trainInstances: train.length,
      testInstances: test.length,
    },
    duplicates: {
      repeatedInteractionsDropped: data.repeatedCount,
      titlesOfSeveralItems: [...titleCounts.values()].filter((count) => count > 1).length,
      instancesWithTwoCandidatesOfOneTitle: all.filter(hasRepeatedTitle).length,
    },
    checks: {
      usersOnBothSides: test.filter((instance) => trainUsers.has(userOf(instance))).length,
      instancesWithAFalseNegative: falseNegatives.length,
      instancesWithTargetInHistory: all.map(metaOf).filter((meta) => meta.historyItemIds.includes(meta.targetItemId))
        .length,
    },
  };
}

/**
 * R1-Ranker's Rec-Movie from interactions: `history` past items, one target, and negatives drawn uniformly from the items that
 * the user never took, shuffled. Users are split before any case is made. One line of the context is one past title.
 *
 * @throws WinnowError ERR_TASK_OPTION, ERR_TASK_DATA
 */
export function makeRecMovieTask(data: Interactions, options: RecMovieOptions): RecMovieTask {
  const settings = settle(options);
  const eligible = [...data.sequences].filter(([, sequence]) => sequence.length > settings.history);
  const wanted = settings.users ?? eligible.length;
  if (eligible.length < Math.max(2, wanted)) {
    throw new WinnowError('ERR_TASK_DATA', 'too few users have enough interactions', {
      expected: `at least ${Math.max(2, wanted)} users with ${settings.history + 1} interactions or more`,
      received: String(eligible.length),
    });
  }
  const shuffled = new RandomStream(settings.seed, 'rec-movie', 'users').sample(eligible, wanted);
  const testCount = Math.min(wanted - 1, Math.max(1, Math.round(wanted * settings.testShare)));
  const make =
    (count: number) =>
    ([userId, sequence]: readonly [string, readonly string[]]) =>
      instancesOfUser(userId, data, sequence, settings, count);
  const test = shuffled.slice(0, testCount).flatMap(make(1));
  const train = shuffled.slice(testCount).flatMap(make(settings.trainWindows));
  return {
    train,
    test,
    trainSequences: shuffled.slice(testCount).map(([userId, itemIds]) => ({ userId, itemIds })),
    card: describe(data, settings, eligible.length, train, test),
  };
}

/** Reads RecBole files from `source`; writes train.jsonl, test.jsonl, train-sequences.jsonl and, last, card.json. */
export async function buildRecMovie(
  options: RecMovieOptions & { readonly source: string; readonly output: string },
): Promise<Readonly<Record<string, unknown>>> {
  const task = makeRecMovieTask(await readInteractions(options.source), options);
  await writeInstances(join(options.output, 'train.jsonl'), task.train);
  await writeInstances(join(options.output, 'test.jsonl'), task.test);
  await writeJsonLines(join(options.output, 'train-sequences.jsonl'), task.trainSequences);
  await writeFileAtomic(join(options.output, 'card.json'), `${JSON.stringify(task.card, undefined, 2)}\n`);
  return task.card;
}
