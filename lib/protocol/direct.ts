import * as z from 'zod';
import { WinnowError } from '../errors.js';
import type { Protocol, RankingInstance } from '../types.js';
import { type CommonWording, commonWordings, wordingOrCompat } from './choose-wording.js';
import { type ListQuestion, type ListQuestionOptions, listQuestion, listQuestionSchema } from './list-question.js';
import { type R1Variant, r1Wording } from './r1-wording.js';

export interface DirectOptions extends ListQuestionOptions {
  /** 'labels' (default) for instruction-tuned models; the compact ones for from-scratch word-level models. */
  readonly wording?: CommonWording | undefined;
  /** The reference's prompts with names instead of labels; takes the place of `wording`. */
  readonly compat?: 'r1-ranker' | undefined;
  /** Default 'evaluation'. */
  readonly compatVariant?: R1Variant | undefined;
}

/** Plain data. */
export interface DirectState {
  readonly instance: RankingInstance;
  /** Best first; undefined until the answer is there. */
  readonly order: readonly string[] | undefined;
}

export type DirectProtocol = Protocol<DirectState> & Omit<ListQuestion, 'orderAfter'>;

/** DRanker's protocol: the whole order in one completion. */
export function directProtocol(options: DirectOptions = {}): DirectProtocol {
  const wording = wordingOrCompat(options, 'r1-ranker', () => r1Wording(options.compatVariant ?? 'evaluation'));
  const { orderAfter, ...question } = listQuestion('direct', wording, options, true);
  const idsOf = (instance: RankingInstance): string[] => instance.candidates.map(({ id }) => id);
  const promptOf = (instance: RankingInstance) => question.promptFor(instance, idsOf(instance), 'all');
  return {
    ...question,
    name: `direct/${wording.name}`,
    start: (instance) => ({ instance, order: instance.candidates.length > 1 ? undefined : idsOf(instance) }),
    prompts: ({ instance, order }) => (order === undefined ? [promptOf(instance)] : []),
    advance(state, answers) {
      const [answer] = answers;
      if (answers.length !== 1 || answer === undefined || state.order !== undefined) {
        throw new WinnowError('ERR_PROTOCOL_STEP', `instance ${state.instance.id} cannot take a step`, {
          expected: 'one answer, once',
          received: `${answers.length} answers${state.order === undefined ? '' : ' after the end'}`,
        });
      }
      return { instance: state.instance, order: orderAfter(promptOf(state.instance), answer) };
    },
    done: ({ order }) => order !== undefined,
    ranking: ({ instance, order }) => order ?? idsOf(instance),
  };
}

export const directSchema = z.strictObject({
  name: z.literal('direct'),
  wording: z.enum(commonWordings).optional(),
  compat: z.literal('r1-ranker').optional(),
  compatVariant: z.enum(['training', 'evaluation']).optional(),
  ...listQuestionSchema,
});
