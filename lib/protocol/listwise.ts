import * as z from 'zod';
import { WinnowError } from '../errors.js';
import type { Prompt, Protocol, RankingInstance } from '../types.js';
import { type CommonWording, commonWordings, wordingNamed } from './choose-wording.js';
import { type ListQuestion, type ListQuestionOptions, listQuestion, listQuestionSchema } from './list-question.js';
import { rankZephyrWording } from './rankzephyr-wording.js';

export interface ListwiseOptions extends ListQuestionOptions {
  /** 'rankzephyr' (default): that model's prompt, with numbers and without a thought. The others let the model think. */
  readonly wording?: CommonWording | 'rankzephyr' | undefined;
  /** Candidates of one prompt; default 20. */
  readonly window?: number | undefined;
  /** How far the window moves up each time; default 10. */
  readonly stride?: number | undefined;
  /** How often the window goes from the end to the top; default 1. */
  readonly passes?: number | undefined;
}

/** Plain data. */
export interface ListwiseState {
  readonly instance: RankingInstance;
  readonly order: readonly string[];
  /** The window asked about next; undefined when done. */
  readonly from: number | undefined;
  readonly to: number;
  /** Passes finished. */
  readonly pass: number;
}

export type ListwiseProtocol = Protocol<ListwiseState> & Omit<ListQuestion, 'orderAfter'>;

function settle(options: ListwiseOptions): { window: number; stride: number; passes: number } {
  const { window = 20, stride = Math.min(10, window), passes = 1 } = options;
  const whole = [window, stride, passes].every(Number.isInteger);
  if (!whole || window < 2 || stride < 1 || stride > window || passes < 1) {
    throw new WinnowError('ERR_PROTOCOL_OPTION', 'the window of listwise cannot be used', {
      expected: 'window from 2 on, stride from 1 to window, passes from 1 on',
      received: JSON.stringify({ window, stride, passes }),
    });
  }
  return { window, stride, passes };
}

/**
 * Sliding windows from the end of the list to its top (Sun et al. 2023, RankGPT, arXiv 2304.09542): each window is put in order,
 * so that what is best travels up. The candidates are shown in their current order, which begins as that of the instance: a
 * malformed answer leaves its window as it is.
 */
export function listwiseProtocol(options: ListwiseOptions = {}): ListwiseProtocol {
  const { window, stride, passes } = settle(options);
  const name = options.wording ?? 'rankzephyr';
  const wording = wordingNamed(name, { rankzephyr: () => rankZephyrWording });
  const numbered = { ...options, labelStyle: options.labelStyle ?? (name === 'rankzephyr' ? 'numbers' : 'letters') };
  const { orderAfter, ...question } = listQuestion('listwise', wording, numbered, false);

  const topOf = (order: readonly string[]) => ({ from: Math.max(0, order.length - window), to: order.length });
  const promptOf = ({ instance, order, from, to, pass }: ListwiseState): Prompt =>
    question.promptFor(instance, order.slice(from, to), `${pass} ${from}`);
  return {
    ...question,
    name: `listwise/${wording.name}`,
    start(instance) {
      const order = instance.candidates.map(({ id }) => id);
      const first = topOf(order);
      return { instance, order, pass: 0, ...first, from: order.length > 1 ? first.from : undefined };
    },
    prompts: (state) => (state.from === undefined ? [] : [promptOf(state)]),
    advance(state, answers) {
      const [answer] = answers;
      if (answers.length !== 1 || answer === undefined || state.from === undefined) {
        throw new WinnowError('ERR_PROTOCOL_STEP', `instance ${state.instance.id} cannot take a step`, {
          expected: 'one answer for an open window',
          received: `${answers.length} answers`,
        });
      }
      const { instance, from, to } = state;
      const order = state.order.toSpliced(from, to - from, ...orderAfter(promptOf(state), answer));
      // The window that reaches the top is the last of a pass; one of a single candidate would ask nothing.
      if (from > 0 && to - stride > 1) return { ...state, order, from: Math.max(0, from - stride), to: to - stride };
      const pass = state.pass + 1;
      return pass < passes ? { instance, order, pass, ...topOf(order) } : { ...state, order, pass, from: undefined };
    },
    done: ({ from }) => from === undefined,
    ranking: ({ order }) => order,
  };
}

export const listwiseSchema = z.strictObject({
  name: z.literal('listwise'),
  wording: z.enum([...commonWordings, 'rankzephyr']).optional(),
  window: z.number().int().min(2).optional(),
  stride: z.number().int().positive().optional(),
  passes: z.number().int().positive().optional(),
  ...listQuestionSchema,
});
