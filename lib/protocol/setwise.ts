import * as z from 'zod';
import { WinnowError } from '../errors.js';
import type { Answer, Completion, Prompt, Protocol, RankingInstance, Reward } from '../types.js';
import { type CommonWording, commonWordings, wordingNamed } from './choose-wording.js';
import { parseFormat } from './completion-format.js';
import type { LabelStyle } from './labels.js';
import { bareLabel } from './labels.js';
import { advanceSort, type SortSettings, type SortState, startSort } from './setwise-run.js';
import type { Comparison, SortName } from './setwise-sorts.js';
import { type DocumentPrefix, type RankR1Wording, rankR1Wording, rankR1Wordings } from './setwise-wording.js';
import { chooseCandidates, gradesById, inInstanceOrder, labelled, labelOf, shuffledFor } from './shown.js';
import { type CaseSizes, expandTrainingCases, type TrainingCase } from './training-cases.js';
import type { Wording } from './wording.js';

/** How much each part counts in `Reward.value`. Rank-R1 itself has no separate reward for the format, so those are 0 by default. */
export interface SetwiseWeights {
  /** Part `correct`: 1 when a most relevant candidate is named, else 0. Default 1. */
  readonly correct: number;
  /** Part `format_think`: 0, or -1 when the thought is not as asked for. Default 0. */
  readonly formatThink: number;
  /** Part `format_answer`: 0, or -1 when the answer is not as asked for. Default 0. */
  readonly formatAnswer: number;
}

export interface SetwiseOptions {
  /** 'labels' (default) fits any task; 'rank-r1', 'rank-r1-sft' and 'rank-r1-v0.2' are upstream's prompts for queries. */
  readonly wording?: CommonWording | RankR1Wording | undefined;
  /** For the prompts of Rank-R1: `[1] text` or `[1]: text`; default: as its version was trained. */
  readonly documentPrefix?: DocumentPrefix | undefined;
  /** Default 'numbers' for Rank-R1's prompts, else 'letters'. */
  readonly labelStyle?: LabelStyle | undefined;
  /** Of the orders shown; default 0. */
  readonly seed?: number | undefined;
  /** Default 'heap'. */
  readonly sort?: SortName | undefined;
  /** `bubble` as ielab/llm-rankers has it, its defect included; no memo. */
  readonly compat?: 'llm-rankers' | undefined;
  /** Candidates of one comparison, from 2; default 20. */
  readonly window?: number | undefined;
  /** How many of the first places are settled; the others keep their order. Default 10. */
  readonly topK?: number | undefined;
  /** How often each comparison is asked, each time in another order; the majority counts, and in a tie what stood first. Default 1. */
  readonly permutations?: number | undefined;
  /** Whether the same set of candidates is asked about once only; default true. */
  readonly memo?: boolean | undefined;
  readonly weights?: { readonly [part in keyof SetwiseWeights]?: number | undefined } | undefined;
}

/** Plain data. */
export interface SetwiseState {
  readonly instance: RankingInstance;
  readonly sorting: SortState;
}

export interface SetwiseProtocol extends Protocol<SetwiseState> {
  /**
   * The prompt for the best of these candidates.
   *
   * @param key separates the shuffles of several prompts with the same candidates
   */
  promptFor(instance: RankingInstance, candidateIds: readonly string[], key: string): Prompt;
  trainingCases(
    instance: RankingInstance,
    options: { readonly sizes: CaseSizes; readonly seed: number },
  ): readonly TrainingCase[];
  /** The supervised target: the best of the order given. */
  demonstrationText(instance: RankingInstance, prompt: Prompt, thought: string, bestFirst: readonly string[]): string;
}

function settle(options: SetwiseOptions): SortSettings & { readonly permutations: number } {
  const { window = 20, topK = 10, permutations = 1, compat, sort = compat === undefined ? 'heap' : 'bubble' } = options;
  const counts = [window - 1, topK, permutations];
  if (!counts.every((count) => Number.isInteger(count) && count >= 1)) {
    throw new WinnowError('ERR_PROTOCOL_OPTION', 'the counts of setwise cannot be used', {
      expected: 'window from 2 on, topK and permutations from 1 on',
      received: JSON.stringify({ window, topK, permutations }),
    });
  }
  if (compat !== undefined && (compat !== 'llm-rankers' || sort !== 'bubble' || options.memo === true)) {
    throw new WinnowError('ERR_PROTOCOL_OPTION', 'the sort of setwise cannot be chosen', {
      expected: "with compat: 'llm-rankers', sort: bubble and no memo",
      received: JSON.stringify({ compat, sort, memo: options.memo }),
      hint: 'the other sorts of llm-rankers are right and need no compat',
    });
  }
  return {
    ...{ window, topK, permutations },
    sort: compat === undefined ? sort : 'upstream-bubble',
    memo: options.memo ?? compat === undefined,
  };
}

/** The candidate that most votes name; in a tie the one that stands first, and without a vote the first of all: the order is kept. */
function elect(comparison: Comparison, votes: readonly Answer[]): string {
  const counts = comparison.map((id) => votes.filter((vote) => vote.ok && vote.ids[0] === id).length);
  return comparison[counts.indexOf(Math.max(...counts))] as string;
}

function setwiseReward(instance: RankingInstance, prompt: Prompt, answer: Answer, weights: SetwiseWeights): Reward {
  const gradeOf = gradesById(instance);
  const best = Math.max(...[...prompt.labels.values()].map((id) => gradeOf.get(id) ?? 0));
  const named = answer.ok ? answer.ids[0] : undefined;
  const shown = named !== undefined && [...prompt.labels.values()].includes(named);
  const parts = {
    correct: shown && (gradeOf.get(named) ?? 0) >= best ? 1 : 0,
    format_think: answer.ok || answer.format.think ? 0 : -1,
    format_answer: answer.ok || answer.format.answer ? 0 : -1,
  };
  const value =
    weights.correct * parts.correct +
    weights.formatThink * parts.format_think +
    weights.formatAnswer * parts.format_answer;
  return { value, parts };
}

/** The rules of one label: exactly as shown, the brackets included where Rank-R1 reads. */
function parseOne(wording: Wording, prompt: Prompt, completion: Pick<Completion, 'text' | 'stop'>): Answer {
  const parsed = (wording.read ?? parseFormat)(completion);
  if (!parsed.ok) return parsed;
  const written = parsed.answer;
  const exact = wording.read === undefined || /^\[[^\s[\]]+\]$/.test(written);
  const id = exact ? prompt.labels.get(bareLabel(written)) : undefined;
  if (id !== undefined) return { ok: true, ids: [id], thought: parsed.thought };
  const format = { think: true, answer: true };
  return { ok: false, reason: 'unknown_candidate', detail: JSON.stringify(written.slice(0, 80)), format };
}

/**
 * Rank-R1's protocol: "which of these is the most relevant?" inside a sort. The first `topK` places are settled; behind them the
 * candidates keep the order of the instance.
 */
export function setwiseProtocol(options: SetwiseOptions = {}): SetwiseProtocol {
  const settings = settle(options);
  const name = options.wording ?? 'labels';
  const fromFile = rankR1Wordings.map((version) => [version, () => rankR1Wording(version, options.documentPrefix)]);
  const wording = wordingNamed(name, Object.fromEntries(fromFile));
  const given = Object.entries(options.weights ?? {}).filter(([, weight]) => weight !== undefined);
  const weights = { correct: 1, formatThink: 0, formatAnswer: 0, ...Object.fromEntries(given) };
  const style = options.labelStyle ?? (wording.read === undefined ? 'letters' : 'numbers');
  const idsOf = (instance: RankingInstance): string[] => instance.candidates.map(({ id }) => id);

  const promptFor = (instance: RankingInstance, candidateIds: readonly string[], key: string): Prompt => {
    const chosen = inInstanceOrder(chooseCandidates(instance, candidateIds));
    const shown = labelled(shuffledFor(chosen, options.seed ?? 0, 'setwise', instance.id, key), style);
    const built = wording.build(instance, shown, { what: 'best', count: 1 });
    return { ...built, labels: new Map(shown.map(({ label, id }) => [label, id])) };
  };
  // The order shown depends on the set and the vote, not on when it is asked: the same question is the same prompt.
  const votesOn = (instance: RankingInstance, comparison: Comparison): Prompt[] =>
    Array.from({ length: settings.permutations }, (_, vote) =>
      promptFor(instance, comparison, JSON.stringify([vote, ...comparison.toSorted()])),
    );

  return {
    name: `setwise/${wording.name}/${options.compat === undefined ? settings.sort : options.compat}`,
    start: (instance) => ({ instance, sorting: startSort(idsOf(instance), settings) }),
    prompts: ({ instance, sorting }) => sorting.pending.flatMap((comparison) => votesOn(instance, comparison)),
    parse: (prompt, completion) => parseOne(wording, prompt, completion),
    advance({ instance, sorting }, answers) {
      const { pending } = sorting;
      const { permutations } = settings;
      if (pending.length === 0 || answers.length !== pending.length * permutations) {
        throw new WinnowError('ERR_PROTOCOL_STEP', `instance ${instance.id} cannot take a step`, {
          expected: `${permutations} answers for each of ${pending.length} open comparisons`,
          received: `${answers.length} answers`,
        });
      }
      const winners = pending.map((comparison, index) =>
        elect(comparison, answers.slice(index * permutations, (index + 1) * permutations)),
      );
      return { instance, sorting: advanceSort(idsOf(instance), settings, sorting, winners) };
    },
    done: ({ sorting }) => sorting.order !== undefined,
    ranking: ({ instance, sorting }) => sorting.order ?? idsOf(instance),
    reward: (instance, prompt, answer) => setwiseReward(instance, prompt, answer, weights),
    promptFor,
    trainingCases: (instance, caseOptions) =>
      expandTrainingCases(instance, caseOptions, (ids, key) => promptFor(instance, ids, key)),
    demonstrationText: (_, prompt, thought, bestFirst) =>
      wording.complete(thought, [labelOf(prompt, bestFirst[0] as string)]),
  };
}

export const setwiseSchema = z.strictObject({
  name: z.literal('setwise'),
  wording: z.enum([...commonWordings, ...rankR1Wordings]).optional(),
  documentPrefix: z.enum(['plain', 'colon']).optional(),
  labelStyle: z.enum(['letters', 'numbers']).optional(),
  seed: z.number().int().nonnegative().optional(),
  sort: z.enum(['heap', 'bubble', 'insertion']).optional(),
  compat: z.literal('llm-rankers').optional(),
  window: z.number().int().min(2).optional(),
  topK: z.number().int().positive().optional(),
  permutations: z.number().int().positive().optional(),
  memo: z.boolean().optional(),
  weights: z
    .strictObject({
      correct: z.number().optional(),
      formatThink: z.number().optional(),
      formatAnswer: z.number().optional(),
    })
    .optional(),
});
