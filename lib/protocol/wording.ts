import type { Completion, Message, RankingInstance } from '../types.js';
import type { ParsedFormat } from './completion-format.js';

/** A candidate as one prompt shows it. */
export interface ShownCandidate {
  readonly id: string;
  /** Bare, e.g. "A", or in compat wordings the name itself. */
  readonly label: string;
  readonly text: string;
  /** Place in `instance.candidates`, from 0. */
  readonly index: number;
}

/** What a prompt asks for: `count` candidates, the worst or the best first, or the order of all, best first. */
export type Ask = { readonly what: 'worst' | 'best'; readonly count: number } | { readonly what: 'order' };

/** How a question is put. Pure: the same instance and candidates give the same text, in training and in evaluation. */
export interface Wording {
  readonly name: string;
  /** Whether candidates are shown by opaque labels (shuffled) or by their names (in the instance's order). */
  readonly labelled: boolean;
  /** @throws WinnowError ERR_PROTOCOL_OPTION when this wording has no words for `ask` */
  build(
    instance: RankingInstance,
    shown: readonly ShownCandidate[],
    ask: Ask,
  ): { readonly messages: readonly Message[]; readonly prefix: string };
  /** The text of a well-formed completion that names these labels in this order. */
  complete(thought: string, labels: readonly string[]): string;
  /** The names of all candidates of an instance, for wordings without labels. */
  names?(instance: RankingInstance): readonly string[];
  /** The format of its completions; default `parseFormat`. */
  read?(completion: Pick<Completion, 'text' | 'stop'>): ParsedFormat;
}
