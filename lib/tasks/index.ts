import { WinnowError } from '../errors.js';
import { buildRecMovie, type RecMovieOptions } from './rec-movie.js';
import { buildSynthetic, type SyntheticOptions } from './synthetic.js';

/** What `winnow data build` passes on; each task picks what it knows and refuses values that it cannot use. */
export interface BuildTaskOptions extends Omit<RecMovieOptions, 'users'>, Omit<SyntheticOptions, 'users' | 'history'> {
  /** Folder with the raw files. */
  readonly source?: string;
  /** Folder for train.jsonl, test.jsonl and card.json; made when missing. */
  readonly output: string;
  readonly seed: number;
  readonly users?: number;
}

type TaskBuilder = (options: BuildTaskOptions) => Promise<Readonly<Record<string, unknown>>>;

const builders: Readonly<Record<string, TaskBuilder>> = {
  'Rec-Movie': async (options) => {
    if (options.source === undefined) {
      throw new WinnowError('ERR_DATA_SOURCE', 'Rec-Movie needs raw files', {
        expected: 'a source folder with one .inter and one .item file',
        received: 'none',
      });
    }
    return buildRecMovie({ ...options, source: options.source });
  },
  synthetic: (options) => {
    const { source: _, ...rest } = options;
    return buildSynthetic({ users: 400, ...rest });
  },
};

/** The names that `buildTask` knows. */
export const taskNames: readonly string[] = Object.keys(builders);

/**
 * Raw files -> train.jsonl, test.jsonl of RankingInstance and card.json; resolves with the card.
 *
 * @throws WinnowError ERR_TASK_UNKNOWN, ERR_TASK_OPTION, ERR_TASK_DATA, ERR_DATA_*
 */
export async function buildTask(name: string, options: BuildTaskOptions): Promise<Readonly<Record<string, unknown>>> {
  const builder = Object.hasOwn(builders, name) ? builders[name] : undefined;
  if (!builder) {
    throw new WinnowError('ERR_TASK_UNKNOWN', 'there is no such task', {
      expected: taskNames.join(', '),
      received: name,
    });
  }
  return builder(options);
}

export { makeRecMovieTask, type RecMovieOptions, type RecMovieTask } from './rec-movie.js';
export {
  type Demonstration,
  demonstrate,
  makeSyntheticTask,
  type SyntheticOptions,
  type SyntheticTask,
} from './synthetic.js';
