/** The question "in which order?" over any set of candidates: what `direct` asks once and `listwise` asks of every window. */
import * as z from 'zod';
import type { Answer, Completion, Prompt, RankingInstance, Reward } from '../types.js';
import { parseFormat } from './completion-format.js';
import type { LabelStyle } from './labels.js';
import { listAnswer, readList } from './list-answer.js';
import { defaultListWeights, type ListWeights, listReward } from './list-reward.js';
import type { OrderMeasure } from './order-measure.js';
import { chooseCandidates, inInstanceOrder, labelled, labelOf, shuffledFor } from './shown.js';
import { type CaseSizes, expandTrainingCases, type TrainingCase } from './training-cases.js';
import type { Wording } from './wording.js';

export interface ListQuestionOptions {
  /** Default 'letters'. */
  readonly labelStyle?: LabelStyle | undefined;
  /** Of the order in which labelled candidates are shown; default 0. */
  readonly seed?: number | undefined;
  /** What the reward measures; default 'ndcg'. */
  readonly measure?: OrderMeasure | undefined;
  /** Cut-off of the measure; default: none. */
  readonly k?: number | undefined;
  readonly weights?: { readonly [part in keyof ListWeights]?: number | undefined } | undefined;
  /**
   * What becomes of a list that leaves out, repeats or invents candidates, after it has been counted as malformed: `reject`
   * (default) keeps the order shown; `append` takes what it names and appends the rest in the order shown.
   */
  readonly incomplete?: 'reject' | 'append' | undefined;
}

/** The options above as settings of a file. */
export const listQuestionSchema = {
  labelStyle: z.enum(['letters', 'numbers']).optional(),
  seed: z.number().int().nonnegative().optional(),
  measure: z.enum(['ndcg', 'reciprocal_rank']).optional(),
  k: z.number().int().positive().optional(),
  weights: z
    .strictObject({
      order: z.number().optional(),
      tail: z.number().optional(),
      coverage: z.number().optional(),
      duplicates: z.number().optional(),
      unknown: z.number().optional(),
      formatThink: z.number().optional(),
      formatAnswer: z.number().optional(),
    })
    .optional(),
  incomplete: z.enum(['reject', 'append']).optional(),
};

export interface ListQuestion {
  /**
   * The prompt for the order of these candidates.
   *
   * @param key separates the shuffles of several prompts with the same candidates
   */
  promptFor(instance: RankingInstance, candidateIds: readonly string[], key: string): Prompt;
  parse(prompt: Prompt, completion: Pick<Completion, 'text' | 'stop'>): Answer;
  reward(instance: RankingInstance, prompt: Prompt, answer: Answer): Reward;
  /** The order that an answer leads to; a malformed one keeps the order shown, or as `incomplete` says. */
  orderAfter(prompt: Prompt, answer: Answer): readonly string[];
  trainingCases(
    instance: RankingInstance,
    options: { readonly sizes: CaseSizes; readonly seed: number },
  ): readonly TrainingCase[];
  /** The supervised target: these candidates, best first. */
  demonstrationText(instance: RankingInstance, prompt: Prompt, thought: string, bestFirst: readonly string[]): string;
}

/**
 * @param name of the protocol, for the shuffles
 * @param shuffled whether labelled candidates are shown in a random order, or in that of the ids asked for
 */
export function listQuestion(
  name: string,
  wording: Wording,
  options: ListQuestionOptions,
  shuffled: boolean,
): ListQuestion {
  const given = Object.entries(options.weights ?? {}).filter(([, weight]) => weight !== undefined);
  const weights: ListWeights = { ...defaultListWeights, ...Object.fromEntries(given) };
  const { measure = 'ndcg', k, seed = 0, labelStyle = 'letters', incomplete = 'reject' } = options;
  const show = (instance: RankingInstance, candidateIds: readonly string[], key: string) => {
    const chosen = chooseCandidates(instance, candidateIds);
    if (!wording.labelled) {
      const names = wording.names?.(instance) ?? [];
      const ordered = shuffled ? inInstanceOrder(chosen) : chosen;
      return ordered.map((candidate) => ({ ...candidate, label: names[candidate.index] ?? candidate.text }));
    }
    const order = shuffled ? shuffledFor(inInstanceOrder(chosen), seed, name, instance.id, key) : chosen;
    return labelled(order, labelStyle);
  };
  const promptFor = (instance: RankingInstance, candidateIds: readonly string[], key: string): Prompt => {
    const shown = show(instance, candidateIds, key);
    const built = wording.build(instance, shown, { what: 'order' });
    return { ...built, labels: new Map(shown.map(({ label, id }) => [label, id])) };
  };
  return {
    promptFor,
    parse(prompt, completion) {
      const parsed = (wording.read ?? parseFormat)(completion);
      if (!parsed.ok) return parsed;
      return listAnswer(readList(parsed.answer, prompt, wording.labelled), prompt.labels.size, parsed.thought);
    },
    reward: (instance, prompt, answer) =>
      listReward(instance, [...prompt.labels.values()], answer, { measure, k, weights }),
    orderAfter(prompt, answer) {
      const shown = [...prompt.labels.values()];
      if (answer.ok) return answer.ids;
      const named = incomplete === 'append' ? (answer.list?.ids ?? []) : [];
      return [...named, ...shown.filter((id) => !named.includes(id))];
    },
    trainingCases: (instance, caseOptions) =>
      expandTrainingCases(instance, caseOptions, (ids, key) => promptFor(instance, ids, key)),
    demonstrationText: (_, prompt, thought, bestFirst) =>
      wording.complete(
        thought,
        bestFirst.map((id) => labelOf(prompt, id)),
      ),
  };
}
