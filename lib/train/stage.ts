/** What a stage gets from the trainer, and what each of its steps gives back. */
import type { Model } from '../native/index.js';
import type { LanguageModel, Thought } from '../protocol/index.js';
import type { RankingInstance } from '../types.js';
import type { AnyProtocol, SizeCurriculum } from './cases.js';
import type { MixturePart } from './data-order.js';
import type { SampleRecord } from './events.js';
import type { RewardOptions } from './reward-function.js';

/** The engine calls that training makes. */
export type TrainableModel = Pick<
  Model,
  | 'accumulateGradients'
  | 'applyGradients'
  | 'score'
  | 'values'
  | 'saveValueHead'
  | 'save'
  | 'saveOptimizerState'
  | 'loadOptimizerState'
  | 'enableTraining'
  | 'dispose'
>;

/** A frozen policy: all that a KL term asks of it. */
export type ScoringModel = Pick<TrainableModel, 'score' | 'dispose'>;

/** Prompts to tokens, and prompts to completions. */
export type Sampler = Pick<LanguageModel, 'render' | 'complete'>;

export interface StageContext {
  readonly model: TrainableModel;
  readonly sampler: Sampler;
  readonly protocol: AnyProtocol;
  readonly instances: readonly RankingInstance[];
  readonly seed: number;
  /** Names the stage to the random numbers; differs between the stages of a run. */
  readonly stageKey: string;
  /** Sources of `instances` in a mixture, in order; absent: one source. */
  readonly mixture?: readonly MixturePart[] | undefined;
  /** Rewards of the caller's own; absent: the protocol's. */
  readonly reward?: RewardOptions;
}

/** What is needed to tell the cases of a stage, without weights. */
export type CaseContext = Omit<StageContext, 'model'>;

export interface StepRequest {
  /** Steps done in this stage before this one. */
  readonly stageStep: number;
  /** Updates that the optimizer made in this stage. */
  readonly optimizerStep: number;
  readonly learningRate: number;
  /** Of this step alone: what an adapter with dropout drops. */
  readonly dropoutSeed: number;
  /** Whether the report wants to show completions of this step, and of how many prompts. */
  readonly samples: number;
  readonly signal: AbortSignal;
}

export interface StepOutcome {
  readonly metrics: Readonly<Record<string, number>>;
  readonly seconds: Readonly<Record<string, number>>;
  /**
   * `generate`: tokens sampled. `score`, `reference`, `values`: of the sequences read by policy, reference and critic. `update`,
   * `update_critic`: of the sequences whose gradient was taken, once for each update.
   */
  readonly phaseTokens?: Readonly<Record<string, number>>;
  readonly samples: readonly Omit<SampleRecord, 'step' | 'stage'>[];
  readonly thoughts?: readonly Thought[];
  /** Tokens of the sequences, prompts counted once for each completion. */
  readonly tokens: number;
  /** Updates made, skipped for a non-finite gradient, and not made for lack of signal. */
  readonly updates: number;
  readonly skipped: number;
  readonly withoutSignal: boolean;
}

export interface Stage {
  /** Examples or prompts that one step consumes. */
  readonly casesPerStep: number;
  step(request: StepRequest): Promise<StepOutcome>;
  /** Plain data that a resumed stage needs besides what follows from seed and step; undefined when there is none. */
  state?(): unknown;
  /** Writes what the stage trains besides the policy into the folder of a checkpoint. */
  save?(folder: string): Promise<void>;
  dispose(): Promise<void>;
}

/** The sizes of a stage's cases; by default every candidate is shown. */
export function sizesOf(
  config: { readonly sizes?: SizeCurriculum | undefined },
  instances: readonly RankingInstance[],
): SizeCurriculum {
  const largest = instances.reduce((most, { candidates }) => Math.max(most, candidates.length), 2);
  return config.sizes ?? { minimum: largest, maximum: largest, rampSteps: 0 };
}

/** Seconds by phase, and the tokens that they were spent on. */
export class Stopwatch {
  readonly seconds: Record<string, number> = {};
  readonly phaseTokens: Record<string, number> = {};
  readonly #started = performance.now();

  async time<T>(phase: string, work: () => Promise<T>): Promise<T> {
    const started = performance.now();
    const result = await work();
    this.add(phase, (performance.now() - started) / 1000);
    return result;
  }

  add(phase: string, seconds: number): void {
    this.seconds[phase] = (this.seconds[phase] ?? 0) + seconds;
  }

  countTokens(phase: string, sequences: readonly ArrayLike<number>[]): void {
    const tokens = sequences.reduce((sum, { length }) => sum + length, 0);
    this.phaseTokens[phase] = (this.phaseTokens[phase] ?? 0) + tokens;
  }

  stop(): Record<string, number> {
    return { ...this.seconds, total: (performance.now() - this.#started) / 1000 };
  }
}
