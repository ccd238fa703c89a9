/** The instances of a run, from a task that builds them or from files, and what a teacher would answer on them. */
import { loadInstances, readInteractions } from '../data/index.js';
import { writePhrase } from '../protocol/index.js';
import { RandomStream } from '../random.js';
import { makeRecMovieTask } from '../tasks/rec-movie.js';
import { demonstrate as demonstrateSynthetic, makeSyntheticTask } from '../tasks/synthetic.js';
import type { Prompt, RankingInstance } from '../types.js';
import type { DataConfig } from './config.js';

/** What a teacher would answer to `prompt`; the draws depend on the seed, the instance and `key` alone. */
export type Demonstrator = (
  instance: RankingInstance,
  prompt: Prompt,
  key: number,
) => { readonly thought: string; readonly answerId: string };

export interface DemonstrationOptions {
  /** Share of the demonstrations whose judgements are random, 0 to 1. */
  readonly corruptShare: number;
  /** `favourite`: the thought names the most relevant candidate shown. The synthetic task has thoughts of its own. */
  readonly thought: 'none' | 'favourite';
}

export interface TrainingData {
  readonly train: readonly RankingInstance[];
  readonly test: readonly RankingInstance[];
  /** Item ids of each training user, oldest first: what baselines learn from. Empty for data from files. */
  readonly trainSequences: readonly { readonly userId: string; readonly itemIds: readonly string[] }[];
  readonly demonstrator: (options: DemonstrationOptions, seed: number) => Demonstrator;
}

/** Throws what the task or the file reader throws: ERR_TASK_*, ERR_DATA_*. */
export async function loadTrainingData({ task, ...files }: DataConfig, seed: number): Promise<TrainingData> {
  if (task?.name === 'synthetic') {
    const { name: _, ...options } = task;
    const { train, test, trainSequences } = makeSyntheticTask({ seed, ...defined(options) });
    return { train, test, trainSequences, demonstrator: syntheticDemonstrator };
  }
  if (task?.name === 'Rec-Movie') {
    const { name: _, source, ...options } = task;
    const interactions = await readInteractions(source);
    const { train, test, trainSequences } = makeRecMovieTask(interactions, { seed, ...defined(options) });
    return { train, test, trainSequences, demonstrator: plainDemonstrator };
  }
  const train = await loadInstances(files.train as string);
  const test = files.test === undefined ? [] : await loadInstances(files.test);
  return { train, test, trainSequences: [], demonstrator: plainDemonstrator };
}

function syntheticDemonstrator({ corruptShare }: DemonstrationOptions, seed: number): Demonstrator {
  return (instance, prompt, key) => demonstrateSynthetic(instance, prompt, { corruptShare, seed, key });
}

/** The thought asked for, and one of the least relevant candidates shown, at random. */
function plainDemonstrator({ corruptShare, thought }: DemonstrationOptions, seed: number): Demonstrator {
  return (instance, prompt, key) => {
    const random = new RandomStream(seed, 'demonstration', instance.id, key);
    const candidates = new Map(
      instance.candidates.map(({ id, text }, index) => [id, { text, grade: instance.relevance[index] ?? 0 }]),
    );
    const shown = [...prompt.labels.values()];
    const gradeOf = (id: string): number => candidates.get(id)?.grade ?? 0;
    const least = Math.min(...shown.map(gradeOf));
    const corrupt = random.uniform() < corruptShare;
    const answerId = random.pick(corrupt ? shown : shown.filter((id) => gradeOf(id) === least));
    if (thought === 'none') return { thought: '', answerId };
    const favourite = shown.reduce((best, id) => (gradeOf(id) > gradeOf(best) ? id : best));
    return { thought: writePhrase(candidates.get(favourite)?.text ?? ''), answerId };
  };
}

/** The options that were given; one that was not must leave the task's own default alone. */
function defined<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as { [K in keyof T]: Exclude<T[K], undefined> };
}
