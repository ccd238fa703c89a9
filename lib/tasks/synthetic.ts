import { WinnowError } from '../errors.js';
import { RandomStream } from '../random.js';
import type { Candidate, Prompt, RankingInstance } from '../types.js';
import { describeTask, textSetKey } from './card.js';
import { type BuiltTask, type UserSequence, writeBuiltTask } from './files.js';
import { testCountOf } from './split.js';

export interface SyntheticOptions {
  readonly seed: number;
  /** Users in all; each gives one instance. */
  readonly users: number;
  /** Share of the users on the test side, whom training never sees; default 0.25. */
  readonly testShare?: number;
  /** At most as many as `genreNames` has; default 6. */
  readonly genres?: number;
  /** Words that tell a genre, per genre; default 4. */
  readonly wordsPerGenre?: number;
  /** Words that tell nothing; default 24. */
  readonly noiseWords?: number;
  /** Titles per genre; default 40. */
  readonly itemsPerGenre?: number;
  /** Default 8. */
  readonly candidates?: number;
  /** Default 6. */
  readonly history?: number;
  /** Probability that a past item is of the liked genre; the others are of any other genre. Default 0.8. */
  readonly fidelity?: number;
}

export interface SyntheticTask extends BuiltTask {
  /** What the training users took, oldest first, the target last: what baselines may learn from. */
  readonly trainSequences: readonly UserSequence[];
}

interface Item extends Candidate {
  readonly genre: string;
}

/** What the generator notes in `RankingInstance.meta`. */
interface SyntheticMeta {
  readonly userId: string;
  readonly historyItemIds: readonly string[];
  readonly targetItemId: string;
  readonly likedGenre: string;
  /** By candidate id. */
  readonly genres: Readonly<Record<string, string>>;
}

function metaOf(instance: RankingInstance): SyntheticMeta {
  const meta = instance.meta as Partial<SyntheticMeta> | undefined;
  if (!meta?.genres || !meta.likedGenre) {
    throw new WinnowError('ERR_TASK_DATA', `instance ${instance.id} tells no genres`, {
      expected: 'an instance of the synthetic task',
      received: instance.task,
    });
  }
  return meta as SyntheticMeta;
}

/** The hidden genres; the names occur in thoughts only, never in a title. */
export const genreNames: readonly string[] = [
  'western',
  'mystery',
  'romance',
  'comedy',
  'horror',
  'fantasy',
  'history',
  'sports',
  'music',
  'space',
];

/** Pronounceable, distinct words for titles: consonant, vowel, consonant, vowel. */
function makeWords(count: number): string[] {
  const consonants = 'bdfgklmnprstvz';
  const vowels = 'aeiou';
  const syllables = [...consonants].flatMap((consonant) => [...vowels].map((vowel) => consonant + vowel));
  // 2627 = 37 * 71 shares no factor with 70 * 70: the walk meets every pair once, and neighbours look different.
  return Array.from({ length: count }, (_, index) => {
    const pair = (index * 2627 + 11) % (syllables.length * syllables.length);
    const first = syllables[Math.floor(pair / syllables.length)] as string;
    return first + (syllables[pair % syllables.length] as string);
  });
}

function settle(options: SyntheticOptions): Required<SyntheticOptions> {
  const settings = {
    testShare: 0.25,
    genres: 6,
    wordsPerGenre: 4,
    noiseWords: 24,
    itemsPerGenre: 40,
    candidates: 8,
    history: 6,
    fidelity: 0.8,
    ...options,
  };
  const checks: readonly (readonly [boolean, string, string, number])[] = [
    [settings.users >= 2, 'users', 'at least 2', settings.users],
    [settings.testShare > 0 && settings.testShare < 1, 'testShare', 'a number between 0 and 1', settings.testShare],
    [
      settings.genres >= 2 && settings.genres <= genreNames.length,
      'genres',
      `2 to ${genreNames.length}`,
      settings.genres,
    ],
    [settings.candidates >= 2, 'candidates', 'at least 2', settings.candidates],
    [settings.history >= 1, 'history', 'at least 1', settings.history],
    [settings.fidelity > 0 && settings.fidelity <= 1, 'fidelity', 'above 0, at most 1', settings.fidelity],
    [
      settings.itemsPerGenre <= 2 * settings.wordsPerGenre * settings.noiseWords,
      'itemsPerGenre',
      'at most 2 x wordsPerGenre x noiseWords',
      settings.itemsPerGenre,
    ],
    [
      settings.itemsPerGenre > settings.history &&
        settings.itemsPerGenre * (settings.genres - 1) >= settings.candidates - 1 + settings.history,
      'itemsPerGenre',
      'enough items for histories and candidates',
      settings.itemsPerGenre,
    ],
  ];
  for (const [holds, name, expected, received] of checks) {
    if (!holds || !Number.isFinite(received)) {
      throw new WinnowError('ERR_TASK_OPTION', `the option ${name} of the synthetic task cannot be used`, {
        expected,
        received: String(received),
      });
    }
  }
  return settings;
}

/** Titles of two words in random order: one of the genre's words and one that tells nothing. */
function makeCatalogue(settings: Required<SyntheticOptions>): Item[] {
  const random = new RandomStream(settings.seed, 'synthetic', 'items');
  const words = random.shuffled(makeWords(settings.genres * settings.wordsPerGenre + settings.noiseWords));
  const noise = words.slice(0, settings.noiseWords);
  return genreNames.slice(0, settings.genres).flatMap((genre, genreIndex) => {
    const start = settings.noiseWords + genreIndex * settings.wordsPerGenre;
    const titles = words
      .slice(start, start + settings.wordsPerGenre)
      .flatMap((word) => noise.flatMap((other) => [`${word} ${other}`, `${other} ${word}`]));
    return random
      .sample(titles, settings.itemsPerGenre)
      .map((text, index) => ({ id: `${genreIndex}-${index}`, text, genre }));
  });
}

function makeInstance(user: number, catalogue: readonly Item[], settings: Required<SyntheticOptions>): RankingInstance {
  const random = new RandomStream(settings.seed, 'synthetic', 'user', user);
  const likedGenre = random.pick(genreNames.slice(0, settings.genres));
  const liked = random.shuffled(catalogue.filter(({ genre }) => genre === likedGenre));
  const others = random.shuffled(catalogue.filter(({ genre }) => genre !== likedGenre));
  const history: Item[] = [];
  for (let i = 0; i < settings.history; i++) {
    history.push((random.uniform() < settings.fidelity ? liked : others).pop() as Item);
  }
  const target = liked.pop() as Item;
  const shown = random.shuffled([target, ...others.slice(0, settings.candidates - 1)]);
  return {
    id: `synthetic/${user}`,
    task: 'synthetic',
    context: history.map(({ text }) => text).join('\n'),
    candidates: shown.map(({ id, text }) => ({ id, text })),
    relevance: shown.map(({ id }) => (id === target.id ? 1 : 0)),
    meta: {
      userId: String(user),
      historyItemIds: history.map(({ id }) => id),
      targetItemId: target.id,
      likedGenre,
      genres: Object.fromEntries(shown.map(({ id, genre }) => [id, genre])),
    },
  };
}

/**
 * A ranking task with a hidden rule that a small model can learn and a popularity count cannot: every user likes one genre, and
 * a title tells its genre by one of its two words. The one target is the only candidate of the liked genre.
 *
 * @throws WinnowError ERR_TASK_OPTION
 */
export function makeSyntheticTask(options: SyntheticOptions): SyntheticTask {
  const settings = settle(options);
  const catalogue = makeCatalogue(settings);
  const instances = Array.from({ length: settings.users }, (_, user) => makeInstance(user, catalogue, settings));
  const testCount = testCountOf(settings.users, settings.testShare);
  const train = instances.slice(testCount);
  const test = instances.slice(0, testCount);
  const trainSequences = train.map(metaOf).map(({ userId, historyItemIds, targetItemId }) => ({
    userId,
    itemIds: [...historyItemIds, targetItemId],
  }));
  const card = describeTask(
    { train, test },
    {
      task: 'synthetic',
      source: 'made',
      settings,
      counts: { items: catalogue.length },
      keys: { users: (instance) => metaOf(instance).userId, itemSets: textSetKey },
    },
  );
  return { train, test, trainSequences, card };
}

/** What a teacher would write: the thought, and the candidate that it leads to. */
export interface Demonstration {
  readonly thought: string;
  readonly answerId: string;
  /** The candidates with the verdict `keep`, in the order shown. */
  readonly keptIds: readonly string[];
}

/**
 * A thought for the warm-up in a fixed, compact wording: ` likes G ;`, then for every candidate shown ` [LABEL] G keep ;` or
 * ` [LABEL] G drop ;`. The genres are always right. The verdicts are right too, or, in a share of the cases, coin flips: what is
 * then left to learn from rewards is to judge. The answer is the last candidate with the verdict `drop` (a rule that a
 * small model learns in a few hundred steps), or any at random when there is none.
 *
 * @param corruptShare probability that the verdicts of this case are random, 0 to 1
 * @param key what the random draws depend on besides the seed and the instance, e.g. an epoch or a case number
 */
export function demonstrate(
  instance: RankingInstance,
  prompt: Pick<Prompt, 'labels'>,
  options: { readonly corruptShare: number; readonly seed: number; readonly key?: string | number },
): Demonstration {
  const { genres, likedGenre } = metaOf(instance);
  const random = new RandomStream(options.seed, 'synthetic', 'thought', instance.id, options.key ?? 0);
  const corrupt = random.uniform() < options.corruptShare;
  const shown = [...prompt.labels];
  const verdicts = shown.map(([, id]) => (corrupt ? random.uniform() < 0.5 : genres[id] === likedGenre));
  const dropped = shown.filter((_, index) => !verdicts[index]);
  const [, answerId] = dropped.at(-1) ?? random.pick(shown);
  const judged = shown.map(([label, id], index) => ` [${label}] ${genres[id]} ${verdicts[index] ? 'keep' : 'drop'} ;`);
  const keptIds = shown.filter((_, index) => verdicts[index]).map(([, id]) => id);
  return { thought: ` likes ${likedGenre} ;${judged.join('')}`, answerId, keptIds };
}

/** Writes train.jsonl, test.jsonl, train-sequences.jsonl and, last, card.json. Needs no source. */
export async function buildSynthetic(
  options: SyntheticOptions & { readonly output: string },
): Promise<Readonly<Record<string, unknown>>> {
  const { output, ...rest } = options;
  const task = makeSyntheticTask(rest);
  await writeBuiltTask(output, task);
  return task.card;
}
