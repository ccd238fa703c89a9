import type { Message, RankingInstance } from '../types.js';

/** A candidate as one prompt shows it. */
export interface ShownCandidate {
  readonly id: string;
  /** Bare, e.g. "A", or in compat wordings the name itself. */
  readonly label: string;
  readonly text: string;
  /** Place in `instance.candidates`, from 0. */
  readonly index: number;
}

/** How the question is put. Pure: the same instance and candidates give the same text, in training and in evaluation. */
export interface ExclusionWording {
  readonly name: string;
  /** Whether candidates are shown by opaque labels (shuffled) or by their names (in the instance's order). */
  readonly labelled: boolean;
  build(
    instance: RankingInstance,
    shown: readonly ShownCandidate[],
  ): { readonly messages: readonly Message[]; readonly prefix: string };
  /** The text of a well-formed completion. */
  complete(thought: string, label: string): string;
  /** The names of all candidates of an instance, for wordings without labels. */
  names?(instance: RankingInstance): readonly string[];
}
