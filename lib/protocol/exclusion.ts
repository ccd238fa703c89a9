import * as z from 'zod';
import { WinnowError } from '../errors.js';
import type { Answer, Prompt, Protocol, RankingInstance } from '../types.js';
import { type CommonWording, commonWordings, wordingOrCompat } from './choose-wording.js';
import { parseFormat } from './completion-format.js';
import {
  defaultExclusionWeights,
  type ExclusionRewardRules,
  type ExclusionWeights,
  exclusionReward,
} from './exclusion-reward.js';
import { bareLabel, type LabelStyle } from './labels.js';
import { listAnswer, readList } from './list-answer.js';
import { resolveName } from './names.js';
import type { OrderMeasure } from './order-measure.js';
import { type R1Variant, r1Wording } from './r1-wording.js';
import { chooseCandidates, inInstanceOrder, labelled, labelOf, shuffledFor } from './shown.js';
import { type CaseSizes, expandTrainingCases, type TrainingCase } from './training-cases.js';
import type { Wording } from './wording.js';

export interface ExclusionOptions {
  /** 'labels' (default) for instruction-tuned models; the compact ones for from-scratch word-level models. */
  readonly wording?: CommonWording | undefined;
  /** The reference's prompts with names instead of labels; takes the place of `wording`. */
  readonly compat?: 'r1-ranker' | undefined;
  /** Default 'evaluation'. */
  readonly compatVariant?: R1Variant | undefined;
  /** Default 'letters'. */
  readonly labelStyle?: LabelStyle | undefined;
  /** Of the order in which labelled candidates are shown; default 0. */
  readonly seed?: number | undefined;
  /** `worst` (default) excludes the least likely; `best` picks the most likely next, so that the top is settled first. */
  readonly direction?: 'worst' | 'best' | undefined;
  /** Candidates taken with one answer; default 1. */
  readonly perStep?: number | undefined;
  /**
   * Stops early. `worst`: when that many are left, which then keep the order of the instance. `best`: when that many are picked; the
   * others keep the order of the instance. Default: the whole order.
   */
  readonly topK?: number | undefined;
  /** Default 'step'; see `ExclusionRewardRules`. */
  readonly reward?: 'step' | 'potential' | undefined;
  /** Of the reward 'potential'; default 'ndcg'. */
  readonly measure?: OrderMeasure | undefined;
  /** Cut-off of that measure; default: none. */
  readonly k?: number | undefined;
  readonly weights?: { readonly [part in keyof ExclusionWeights]?: number | undefined } | undefined;
}

/** Plain data: what remains and what went, in order. */
export interface ExclusionState {
  readonly instance: RankingInstance;
  /** In the order of the instance. */
  readonly remaining: readonly string[];
  /** First taken first: the first is the worst, or the best with `direction: 'best'`. */
  readonly excluded: readonly string[];
}

export interface ExclusionProtocol extends Protocol<ExclusionState> {
  /**
   * The prompt for any subset of an instance's candidates.
   *
   * @param key separates the shuffles of several prompts with the same candidates
   */
  promptFor(instance: RankingInstance, candidateIds: readonly string[], key: string): Prompt;
  /** Random subsets that hold a relevant candidate, with their prompts; see `expandTrainingCases`. */
  trainingCases(
    instance: RankingInstance,
    options: { readonly sizes: CaseSizes; readonly seed: number },
  ): readonly TrainingCase[];
  /** The text of a well-formed completion of `prompt` that takes these candidates. */
  completionText(prompt: Prompt, thought: string, candidateIds: string | readonly string[]): string;
  /** The supervised target: the ends of the order given. */
  demonstrationText(instance: RankingInstance, prompt: Prompt, thought: string, bestFirst: readonly string[]): string;
}

interface Settings extends ExclusionRewardRules {
  readonly wording: Wording;
  readonly perStep: number;
  readonly topK: number | undefined;
  readonly weights: ExclusionWeights;
}

function settle(options: ExclusionOptions): Settings {
  const { direction = 'worst', perStep = 1, topK, reward: form = 'step', measure = 'ndcg', k } = options;
  const whole = [perStep, topK ?? 1].every((count) => Number.isInteger(count) && count >= 1);
  if (!whole || (options.compat !== undefined && (direction !== 'worst' || perStep !== 1))) {
    throw new WinnowError('ERR_PROTOCOL_OPTION', 'the steps of exclusion cannot be chosen', {
      expected: 'perStep and topK from 1 on; with compat one exclusion of the worst a step',
      received: JSON.stringify({ direction, perStep, topK, compat: options.compat }),
    });
  }
  const given = Object.entries(options.weights ?? {}).filter(([, weight]) => weight !== undefined);
  const weights = { ...defaultExclusionWeights, ...Object.fromEntries(given) };
  const wording = wordingOrCompat(options, 'r1-ranker', () => r1Wording(options.compatVariant ?? 'evaluation'));
  return { wording, direction, perStep, topK, form, measure, k, weights };
}

/** How many candidates an answer takes when `shown` are shown: never the last one, and with `worst` never one of the top k. */
function countFor({ direction, perStep, topK }: Settings, shown: number): number {
  const left = direction === 'worst' ? shown - (topK ?? 1) : shown - 1;
  return Math.max(1, Math.min(perStep, left));
}

/** Labels in a shuffled order, or names in the instance's order. */
function showPrompt(
  settings: Settings,
  instance: RankingInstance,
  candidateIds: readonly string[],
  key: string,
  { seed = 0, labelStyle = 'letters' }: ExclusionOptions,
): Prompt {
  const { wording, direction } = settings;
  const chosen = inInstanceOrder(chooseCandidates(instance, candidateIds));
  const names = wording.names?.(instance);
  const shown = wording.labelled
    ? labelled(shuffledFor(chosen, seed, 'exclusion', instance.id, key), labelStyle)
    : chosen.map((candidate) => ({ ...candidate, label: names?.[candidate.index] ?? '' }));
  const built = wording.build(instance, shown, { what: direction, count: countFor(settings, shown.length) });
  return { ...built, labels: new Map(shown.map(({ label, id }) => [label, id])) };
}

function resolveOne(wording: Wording, prompt: Prompt, thought: string, answer: string): Answer {
  const format = { think: true, answer: true };
  const unknown = {
    ok: false,
    reason: 'unknown_candidate',
    detail: JSON.stringify(answer.slice(0, 80)),
    format,
  } as const;
  if (wording.labelled) {
    const id = prompt.labels.get(bareLabel(answer));
    return id === undefined ? unknown : { ok: true, ids: [id], thought };
  }
  const resolution = resolveName(answer, [...prompt.labels.keys()]);
  if (resolution.kind === 'found') return { ok: true, ids: [prompt.labels.get(resolution.name) as string], thought };
  if (resolution.kind === 'unknown') return unknown;
  return { ok: false, reason: 'ambiguous_candidate', detail: resolution.names.join(' | '), format };
}

/**
 * A malformed answer takes what stands at a fixed place of the prompt, chosen without a look at the texts: the last ones shown are
 * excluded, the first ones picked.
 */
function takenUnasked(prompt: Prompt, { direction }: Settings, count: number): readonly string[] {
  const shown = [...prompt.labels.values()];
  return direction === 'worst' ? shown.slice(-count).reverse() : shown.slice(0, count);
}

function isDone({ direction, topK }: Settings, { remaining, excluded }: ExclusionState): boolean {
  if (remaining.length <= 1) return true;
  if (topK === undefined) return false;
  return direction === 'worst' ? remaining.length <= topK : excluded.length >= topK;
}

function take(state: ExclusionState, ids: readonly string[]): ExclusionState {
  if (ids.length === 0 || new Set(ids).size !== ids.length || !ids.every((id) => state.remaining.includes(id))) {
    throw new WinnowError('ERR_PROTOCOL_STEP', `instance ${state.instance.id} cannot exclude a candidate`, {
      expected: `of ${state.remaining.join(' ')}, each once`,
      received: ids.join(' '),
    });
  }
  return {
    instance: state.instance,
    remaining: state.remaining.filter((other) => !ids.includes(other)),
    excluded: [...state.excluded, ...ids],
  };
}

/**
 * IRanker's protocol: "which candidate is the least likely?", n - 1 times; the ranking is the reverse order of exclusion. One
 * prompt builder, one parser and one reward for training, evaluation and serving.
 *
 * `advance` on a malformed answer excludes the candidate shown last, without credit; whether it comes to that, or to a retry or
 * a failure, is the driver's policy.
 */
export function exclusionProtocol(options: ExclusionOptions = {}): ExclusionProtocol {
  const settings = settle(options);
  const { wording, weights, direction } = settings;
  const promptFor = (instance: RankingInstance, candidateIds: readonly string[], key: string): Prompt =>
    showPrompt(settings, instance, candidateIds, key, options);
  const promptOf = ({ instance, remaining }: ExclusionState): Prompt =>
    promptFor(instance, remaining, `step ${remaining.length}`);
  const write = (prompt: Prompt, thought: string, ids: readonly string[]): string =>
    wording.complete(
      thought,
      ids.map((id) => labelOf(prompt, id)),
    );
  return {
    name: `${direction === 'worst' ? 'exclusion' : 'selection'}/${wording.name}`,
    start: (instance) => ({ instance, remaining: instance.candidates.map(({ id }) => id), excluded: [] }),
    prompts: (state) => (isDone(settings, state) ? [] : [promptOf(state)]),
    parse(prompt, completion) {
      const parsed = parseFormat(completion);
      if (!parsed.ok) return parsed;
      const count = countFor(settings, prompt.labels.size);
      if (count === 1) return resolveOne(wording, prompt, parsed.thought, parsed.answer);
      return listAnswer(readList(parsed.answer, prompt, wording.labelled), count, parsed.thought);
    },
    advance(state, answers) {
      const [answer] = answers;
      if (answers.length !== 1 || answer === undefined || isDone(settings, state)) {
        throw new WinnowError('ERR_PROTOCOL_STEP', `instance ${state.instance.id} cannot take a step`, {
          expected: `one answer for ${state.remaining.length} remaining candidates, of which there must be 2`,
          received: `${answers.length} answers`,
        });
      }
      const count = countFor(settings, state.remaining.length);
      return take(state, answer.ok ? answer.ids : takenUnasked(promptOf(state), settings, count));
    },
    done: (state) => isDone(settings, state),
    ranking: ({ remaining, excluded }) =>
      direction === 'worst' ? [...remaining, ...excluded.toReversed()] : [...excluded, ...remaining],
    reward: (instance, prompt, answer) =>
      exclusionReward(
        instance,
        prompt.labels.values(),
        answer,
        weights,
        settings,
        countFor(settings, prompt.labels.size),
      ),
    promptFor,
    trainingCases: (instance, caseOptions) =>
      expandTrainingCases(instance, caseOptions, (ids, key) => promptFor(instance, ids, key)),
    completionText: (prompt, thought, ids) => write(prompt, thought, typeof ids === 'string' ? [ids] : ids),
    demonstrationText(_, prompt, thought, bestFirst) {
      const ordered = direction === 'worst' ? bestFirst.toReversed() : bestFirst;
      return write(prompt, thought, ordered.slice(0, countFor(settings, prompt.labels.size)));
    },
  };
}

const kWeight = z.number().optional();

export const exclusionSchema = z.strictObject({
  name: z.literal('exclusion'),
  wording: z.enum(commonWordings).optional(),
  compat: z.literal('r1-ranker').optional(),
  compatVariant: z.enum(['training', 'evaluation']).optional(),
  labelStyle: z.enum(['letters', 'numbers']).optional(),
  seed: z.number().int().nonnegative().optional(),
  direction: z.enum(['worst', 'best']).optional(),
  perStep: z.number().int().positive().optional(),
  topK: z.number().int().positive().optional(),
  reward: z.enum(['step', 'potential']).optional(),
  measure: z.enum(['ndcg', 'reciprocal_rank']).optional(),
  k: z.number().int().positive().optional(),
  weights: z.strictObject({ exclusion: kWeight, formatThink: kWeight, formatAnswer: kWeight }).optional(),
});
