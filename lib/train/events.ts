/** What a run tells while it goes on: the records of its journals, and the events that carry them. */
import type { MalformedReason } from '../types.js';

/** Metric names follow TRL where it has one; docs/metrics.md gives the formulas. */
export type Metrics = Readonly<Record<string, number>>;

/** A line of metrics.jsonl. Everything in it is determined by the configuration. */
export interface StepRecord {
  readonly type: 'step';
  /** Steps done over all stages, from 1. */
  readonly step: number;
  readonly stage: string;
  readonly kind: 'sft' | 'grpo' | 'ppo' | 'best-of-n';
  /** Steps done in this stage, from 1. */
  readonly stage_step: number;
  readonly metrics: Metrics;
}

/** A line of timing.jsonl. */
export interface TimingRecord {
  readonly step: number;
  /** By phase; they need not add up to `total`. */
  readonly seconds: Readonly<Record<string, number>>;
  /** Speeds and utilisation; docs/metrics.md gives the formulas. */
  readonly rates?: Readonly<Record<string, number>>;
}

export interface Interval {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/** A row of the evaluation table, and a line of metrics.jsonl. */
export interface EvaluationRecord {
  readonly type: 'evaluation';
  readonly step: number;
  /** `chance`, `popularity`, `untrained`, `after warm-up`, ... */
  readonly label: string;
  /** `progress`: an evaluation in the middle of a stage. */
  readonly kind: 'baseline' | 'model' | 'progress';
  readonly instances: number;
  /** Means over instances, most with a 95 % bootstrap interval. */
  readonly measures: Readonly<Record<string, Interval>>;
  /** The same means by task; only where the test set has several. */
  readonly tasks?: Readonly<Record<string, TaskMeans>>;
  /** The values that the means are made of, for paired comparisons; in the order of the test set. */
  readonly perInstance: Readonly<Record<string, readonly number[]>>;
}

export interface TaskMeans {
  readonly instances: number;
  readonly means: Readonly<Record<string, number>>;
}

/** The gain of one row over another on the same instances, with its paired 95 % bootstrap interval. */
export interface ComparisonRecord {
  readonly type: 'comparison';
  readonly step: number;
  readonly label: string;
  readonly baseline: string;
  readonly gains: Readonly<Record<string, Interval>>;
}

export interface SampleCompletion {
  readonly text: string;
  readonly tokens: number;
  readonly stop: string;
  readonly outcome: 'ok' | MalformedReason;
  readonly reward: number;
  readonly parts: Readonly<Record<string, number>>;
  readonly advantage: number;
}

/** A line of samples.jsonl: one prompt and its group of completions. */
export interface SampleRecord {
  readonly step: number;
  readonly stage: string;
  readonly instance: string;
  readonly prompt: string;
  readonly completions: readonly SampleCompletion[];
}

export type TrainEvent =
  | {
      readonly type: 'start';
      readonly output: string;
      /** Steps already done when a run is resumed, else 0. */
      readonly step: number;
      readonly steps: number;
      readonly device: string;
      readonly parameters: number;
      /** Those that the optimizer moves: fewer with an adapter. */
      readonly trainedParameters: number;
    }
  | {
      readonly type: 'step';
      readonly steps: number;
      readonly stageSteps: number;
      readonly record: StepRecord;
      readonly timing: TimingRecord;
      readonly samples: readonly SampleRecord[];
    }
  | { readonly type: 'evaluating'; readonly step: number; readonly label: string }
  | { readonly type: 'evaluation'; readonly record: EvaluationRecord }
  | { readonly type: 'comparison'; readonly record: ComparisonRecord }
  | { readonly type: 'checkpoint'; readonly step: number; readonly path: string }
  | { readonly type: 'done'; readonly status: 'completed' | 'stopped'; readonly step: number; readonly output: string };

export interface TrainResult {
  readonly status: 'completed' | 'stopped';
  readonly output: string;
  /** Steps done. */
  readonly step: number;
  /** The newest checkpoint: a model folder in the Hugging Face layout. */
  readonly checkpoint: string | undefined;
  /** The checkpoint with the best evaluation, where `checkpoint.best` asks for it. */
  readonly bestCheckpoint: string | undefined;
  readonly evaluations: readonly EvaluationRecord[];
  readonly comparisons: readonly ComparisonRecord[];
  /** Metrics of the last step. */
  readonly metrics: Metrics;
}
