/** The carriers of the data flow. All readonly: a stage makes new values, it never edits the ones it got. */

/** One thing to be ranked. */
export interface Candidate {
  /** Unique within the instance. */
  readonly id: string;
  readonly text: string;
}

/** What every data source becomes. */
export interface RankingInstance {
  /** Unique within a data set. */
  readonly id: string;
  /** e.g. "Rec-Movie". */
  readonly task: string;
  /** The user's history or the query, as text. */
  readonly context: string;
  readonly candidates: readonly Candidate[];
  /** Graded relevance, aligned with `candidates`; 0 = not relevant. Several may be relevant. */
  readonly relevance: readonly number[];
  /** Anything a task or baseline needs besides (user id, popularity, ...). */
  readonly meta?: Readonly<Record<string, unknown>>;
}

export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** One request to the language model. */
export interface Prompt {
  readonly messages: readonly Message[];
  /** Text that the completion continues, e.g. "<think>"; part of the prompt, never of the completion. */
  readonly prefix: string;
  /** Candidate ids by the label shown in this prompt. */
  readonly labels: ReadonlyMap<string, string>;
  /** When given, nothing is sampled: the completion is how likely each of these texts is as a continuation. */
  readonly choices?: readonly string[];
}

export type MalformedReason =
  | 'empty'
  | 'truncated'
  | 'no_think'
  | 'no_answer'
  | 'several_answers'
  | 'trailing_text'
  | 'unknown_candidate'
  | 'ambiguous_candidate'
  | 'already_excluded'
  | 'duplicate_candidate'
  | 'incomplete_list'
  | 'bad_score';

/** What a completion says. A malformed completion is data, never an exception. */
export type Answer =
  | {
      readonly ok: true;
      readonly ids: readonly string[];
      readonly thought: string;
      /** For protocols that score candidates one by one: higher is more relevant. */
      readonly score?: number;
    }
  | {
      readonly ok: false;
      readonly reason: MalformedReason;
      readonly detail: string;
      /** Which parts of the format were right all the same; the reward scores them apart. */
      readonly format: { readonly think: boolean; readonly answer: boolean };
      /** For answers that list candidates: what could be read all the same, each id once, and what was wrong with it. */
      readonly list?: { readonly ids: readonly string[]; readonly duplicates: number; readonly unknown: number };
    };

/** A reward with its named parts; `value` is their weighted sum. */
export interface Reward {
  readonly value: number;
  readonly parts: Readonly<Record<string, number>>;
}

export interface Completion {
  readonly tokens: Int32Array;
  readonly text: string;
  readonly logprobs: Float32Array;
  readonly stop: 'stop_token' | 'stop_string' | 'length' | 'context';
  /** For prompts with `choices`: the log-probability of each as the continuation, summed over its tokens. */
  readonly choiceLogprobs?: readonly number[];
}

/**
 * How a ranker talks to the model, as a state machine that training, evaluation, the command line and the server share.
 * `State` is immutable plain data.
 */
export interface Protocol<State> {
  readonly name: string;
  start(instance: RankingInstance): State;
  /** The requests of the next step; none when done. */
  prompts(state: State): readonly Prompt[];
  parse(prompt: Prompt, completion: Pick<Completion, 'text' | 'stop' | 'choiceLogprobs'>): Answer;
  /** One answer per prompt, in the same order. */
  advance(state: State, answers: readonly Answer[]): State;
  done(state: State): boolean;
  /** Candidate ids, best first. Complete once `done`. */
  ranking(state: State): readonly string[];
  reward(instance: RankingInstance, prompt: Prompt, answer: Answer): Reward;
}
