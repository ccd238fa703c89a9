/** The instances of a run, from a task that builds them or from files, and what a teacher would answer on them. */
import { loadInstances, readInteractions } from '../data/index.js';
import { WinnowError } from '../errors.js';
import { writePhrase } from '../protocol/index.js';
import { RandomStream } from '../random.js';
import { makeRecTask } from '../tasks/rec.js';
import { demonstrate as demonstrateSynthetic, makeSyntheticTask } from '../tasks/synthetic.js';
import type { Prompt, RankingInstance } from '../types.js';
import type { DataConfig } from './config.js';
import type { MixturePart } from './data-order.js';
import { coOccurrenceGrader, type Grader, gradedThought, kGrades } from './graded-thought.js';
import { mixSources } from './mixture.js';

/** What a teacher thinks of the candidates of a prompt. */
export interface Judgement {
  /** All that are shown; each protocol answers from it in its own way. */
  readonly bestFirst: readonly string[];
  /** What is written before an answer that names these candidates. */
  readonly thought: (answerIds: readonly string[]) => string;
}

/** The draws depend on the seed, the instance and `key` alone. */
export type Demonstrator = (instance: RankingInstance, prompt: Prompt, key: number) => Judgement;

export interface DemonstrationOptions {
  /** Share of the demonstrations whose judgements are random, 0 to 1. */
  readonly corruptShare: number;
  /**
   * `names`: text and label of each candidate that the answer names, in its order. `scores`: see graded-thought.ts; the recommendation tasks
   * alone know it. The synthetic task has thoughts of its own and takes `none` alone.
   */
  readonly thought: 'none' | 'names' | 'scores';
}

export interface TrainingData {
  readonly train: readonly RankingInstance[];
  readonly test: readonly RankingInstance[];
  /** Item ids of each training user, oldest first: what baselines learn from. Empty for data from files. */
  readonly trainSequences: readonly { readonly userId: string; readonly itemIds: readonly string[] }[];
  readonly demonstrator: (options: DemonstrationOptions, seed: number) => Demonstrator;
  /** The sources of `train`, in order, where there are several. */
  readonly mixture?: readonly MixturePart[] | undefined;
}

/** Throws what the task or the file reader throws: ERR_TASK_*, ERR_DATA_*. */
export async function loadTrainingData({ task, mixture, ...files }: DataConfig, seed: number): Promise<TrainingData> {
  if (mixture !== undefined) {
    const sources: TrainingData[] = [];
    for (const { weight: _, ...source } of mixture) sources.push(await loadTrainingData(source, seed));
    return mixSources(
      sources,
      mixture.map(({ weight }) => weight),
    );
  }
  if (task?.name === 'synthetic') {
    const { name: _, ...options } = task;
    const { train, test, trainSequences } = makeSyntheticTask({ seed, ...defined(options) });
    return { train, test, trainSequences, demonstrator: syntheticDemonstrator };
  }
  if (task !== undefined) {
    const { name, source, ...options } = task;
    const interactions = await readInteractions(source);
    const { train, test, trainSequences } = makeRecTask(name, interactions, { seed, ...defined(options) });
    return { train, test, trainSequences, demonstrator: gradingDemonstrator(train, trainSequences) };
  }
  const train = await loadInstances(files.train as string);
  const test = files.test === undefined ? [] : await loadInstances(files.test);
  return { train, test, trainSequences: [], demonstrator: plainDemonstrator };
}

function refuseThought(thought: string, expected: string, hint: string): never {
  throw new WinnowError('ERR_CONFIG', `this data has no demonstrations with the thought ${thought}`, {
    expected: `thought: ${expected}`,
    received: thought,
    hint,
  });
}

function syntheticDemonstrator({ corruptShare, thought: kind }: DemonstrationOptions, seed: number): Demonstrator {
  if (kind !== 'none') refuseThought(kind, 'none', 'the synthetic task has thoughts of its own');
  return (instance, prompt, key) => {
    const { thought, answerId, keptIds } = demonstrateSynthetic(instance, prompt, { corruptShare, seed, key });
    const shown = [...prompt.labels.values()].filter((id) => id !== answerId);
    const kept = shown.filter((id) => keptIds.includes(id));
    return { thought: () => thought, bestFirst: [...kept, ...shown.filter((id) => !keptIds.includes(id)), answerId] };
  };
}

/** Name, then label: looking a label up is easiest right after the name that it stands beside. */
function nameThought({ candidates }: RankingInstance, { labels }: Prompt, answerIds: readonly string[]): string {
  const texts = new Map(candidates.map(({ id, text }) => [id, text]));
  const labelOf = new Map([...labels].map(([label, id]) => [id, label]));
  return answerIds.map((id) => `${writePhrase(texts.get(id) ?? id)} [${labelOf.get(id)}]`).join('');
}

/** The order by relevance, ties at random; all of it at random in a corrupt demonstration. */
function plainDemonstrator({ corruptShare, thought: kind }: DemonstrationOptions, seed: number): Demonstrator {
  if (kind === 'scores') refuseThought(kind, 'none or names', 'grades need the sequences of a recommendation task');
  return (instance, prompt, key) => {
    const random = new RandomStream(seed, 'demonstration', instance.id, key);
    const grades = new Map(instance.candidates.map(({ id }, index) => [id, instance.relevance[index] ?? 0]));
    const shown = [...prompt.labels.values()];
    const gradeOf = (id: string): number => grades.get(id) ?? 0;
    const least = Math.min(...shown.map(gradeOf));
    const corrupt = random.uniform() < corruptShare;
    const last = random.pick(corrupt ? shown : shown.filter((id) => gradeOf(id) === least));
    const others = random.shuffled(shown.filter((id) => id !== last));
    const ordered = corrupt ? others : others.sort((a, b) => gradeOf(b) - gradeOf(a));
    return {
      thought: (answerIds) => (kind === 'names' ? nameThought(instance, prompt, answerIds) : ''),
      bestFirst: [...ordered, last],
    };
  };
}

/** The grader is made once, when a stage first asks for it; the grades of a corrupt demonstration are random. */
function gradingDemonstrator(
  train: readonly RankingInstance[],
  trainSequences: TrainingData['trainSequences'],
): TrainingData['demonstrator'] {
  let grader: Grader | undefined;
  return (options, seed) => {
    if (options.thought !== 'scores') return plainDemonstrator(options, seed);
    grader ??= coOccurrenceGrader(train, trainSequences);
    const gradesOf = grader;
    return (instance, prompt, key) => {
      const random = new RandomStream(seed, 'demonstration', instance.id, key);
      const corrupt = random.uniform() < options.corruptShare;
      const randomGrades = () => new Map(instance.candidates.map(({ id }) => [id, random.integer(kGrades)]));
      const graded = gradedThought(instance, prompt, corrupt ? randomGrades() : gradesOf(instance), random);
      return { thought: () => graded.thought, bestFirst: graded.bestFirst };
    };
  };
}

/** The options that were given; one that was not must leave the task's own default alone. */
function defined<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as { [K in keyof T]: Exclude<T[K], undefined> };
}
