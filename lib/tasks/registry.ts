import { WinnowError } from '../errors.js';
import type { TokenCounter } from './card.js';
import { buildPassage, type PassageOptions, type PassageTaskName, passageTaskNames } from './passage.js';
import { buildRankingBench, type RankingBenchOptions } from './ranking-bench.js';
import { buildRec, type RecOptions, recTaskNames } from './rec.js';
import { buildRouter, type RouterOptions } from './router.js';
import { routerTaskNames } from './router-scores.js';
import { buildSynthetic, type SyntheticOptions } from './synthetic.js';

/** What `winnow data build` passes on. A task takes some of these; one that it does not take is an error. */
export interface BuildTaskOptions
  extends Partial<Omit<RecOptions, 'seed'>>,
    RankingBenchOptions,
    Partial<Omit<RouterOptions, 'seed' | 'testShare' | 'queries'>>,
    Partial<Omit<PassageOptions, 'seed' | 'testShare' | 'negatives'>>,
    Partial<Omit<SyntheticOptions, 'seed' | 'users' | 'history' | 'testShare'>> {
  /** Folder with the raw files. */
  readonly source?: string;
  /** Folder for train.jsonl, test.jsonl and card.json; made when missing. */
  readonly output: string;
  /** Default 0. */
  readonly seed?: number;
}

/** What is not an option of a task but of every build. */
export interface BuildContext {
  readonly countTokens?: TokenCounter;
}

type Card = Readonly<Record<string, unknown>>;
type OptionName = Exclude<keyof BuildTaskOptions, 'output'>;

interface TaskEntry {
  /** The options that the task takes. */
  readonly options: readonly OptionName[];
  readonly build: (options: BuildTaskOptions & { readonly seed: number }, context: BuildContext) => Promise<Card>;
}

function sourceOf(name: string, options: BuildTaskOptions, expected: string): string {
  if (options.source === undefined) {
    throw new WinnowError('ERR_DATA_SOURCE', `${name} needs raw files`, { expected, received: 'none' });
  }
  return options.source;
}

const recFiles = 'a source folder with .inter files and one .item file';

const routerFiles = 'a source folder with a GraphRouter csv, RouterBench csv files or LLMRouter json';

const passageFiles = 'a source folder with MS MARCO or Tevatron rows, a BEIR folder, or TREC judgements with passages';

function passageEntry(name: PassageTaskName, more: readonly OptionName[]): TaskEntry {
  return {
    options: [
      'source',
      'seed',
      'testShare',
      'queries',
      'relevantFrom',
      'unjudged',
      'hardNegatives',
      'depth',
      'lists',
      'maxCharacters',
      ...more,
    ],
    build: (options, { countTokens }) =>
      buildPassage(name, { ...options, source: sourceOf(name, options, passageFiles) }, countTokens),
  };
}

const benchFiles = 'a source folder with train* and test* rows of Ranking-bench';

const entries: Readonly<Record<string, TaskEntry>> = {
  ...Object.fromEntries(
    recTaskNames.map((name): [string, TaskEntry] => [
      name,
      {
        options: [
          'source',
          'seed',
          'users',
          'history',
          'negatives',
          'negativesFrom',
          'window',
          'trainWindows',
          'testShare',
        ],
        build: (options, { countTokens }) =>
          buildRec(name, { ...options, source: sourceOf(name, options, recFiles) }, countTokens),
      },
    ]),
  ),
  ...Object.fromEntries(
    routerTaskNames.map((name): [string, TaskEntry] => [
      name,
      {
        options: [
          'source',
          'seed',
          'queries',
          'effectWeight',
          'costWeight',
          'missing',
          'allTied',
          'candidateText',
          'queryWords',
          'testShare',
        ],
        build: (options, { countTokens }) =>
          buildRouter(name, { ...options, source: sourceOf(name, options, routerFiles) }, countTokens),
      },
    ]),
  ),
  ...Object.fromEntries(passageTaskNames.map((name) => [name, passageEntry(name, [])])),
  'rank-r1': passageEntry('rank-r1', ['negatives']),
  'ranking-bench': {
    options: ['source', 'config'],
    build: (options, { countTokens }) =>
      buildRankingBench({ ...options, source: sourceOf('ranking-bench', options, benchFiles) }, countTokens),
  },
  synthetic: {
    options: [
      'seed',
      'users',
      'testShare',
      'genres',
      'wordsPerGenre',
      'noiseWords',
      'itemsPerGenre',
      'candidates',
      'history',
      'fidelity',
    ],
    build: (options) => buildSynthetic({ users: 400, ...options }),
  },
};

/** The names that `buildTask` knows. */
export const taskNames: readonly string[] = Object.keys(entries);

/**
 * Raw files -> train.jsonl, test.jsonl of RankingInstance and card.json; resolves with the card.
 *
 * @throws WinnowError ERR_TASK_UNKNOWN, ERR_TASK_OPTION, ERR_TASK_DATA, ERR_DATA_*
 */
export async function buildTask(name: string, options: BuildTaskOptions, context: BuildContext = {}): Promise<Card> {
  const entry = Object.hasOwn(entries, name) ? entries[name] : undefined;
  if (!entry) {
    throw new WinnowError('ERR_TASK_UNKNOWN', 'there is no such task', {
      expected: taskNames.join(', '),
      received: name,
    });
  }
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  for (const [option] of given) {
    if (option === 'output' || (entry.options as readonly string[]).includes(option)) continue;
    throw new WinnowError('ERR_TASK_OPTION', `the option ${option} does not apply to ${name}`, {
      expected: `options among ${entry.options.join(', ')}`,
      received: option,
    });
  }
  return entry.build({ seed: 0, ...(Object.fromEntries(given) as unknown as BuildTaskOptions) }, context);
}
