/** What a workload of `winnow bench` is made of: cases, each of which is timed by itself and by every peer that does it. */
import type { DTypeName, Model, Session } from '../../native/index.js';
import type { Work } from './accounting.js';
import type { GrowthPoint } from './growth.js';
import type { BenchShape } from './shapes.js';

/** What the options of `winnow bench` choose of the work itself. */
export interface BenchSettings {
  readonly shape: BenchShape;
  readonly dtype: DTypeName;
  /** Threads of the run; a case may ask for others. */
  readonly threads: number;
  readonly prompt: number;
  readonly completion: number;
  readonly group: number;
  readonly queries: number;
  /** Queries that a peer is given; its time is then compared per query. */
  readonly peerQueries: number;
}

/** What a process that times one case has at hand. */
export interface TrialContext {
  readonly session: Session;
  readonly settings: BenchSettings;
  /** The weights that all sides read, from the folder of the run. */
  loadModel(): Promise<Model>;
}

/** What one process measured. */
export interface CaseResult {
  /** One entry a repetition. */
  readonly seconds: readonly number[];
  /** Further figures for the record, e.g. tokens computed. */
  readonly details: Readonly<Record<string, number>>;
  /** Seconds by phase of the (only) repetition; what they lack of its seconds is accounted to nothing. */
  readonly phaseSeconds?: Readonly<Record<string, number>>;
  /** The work of one repetition, where only the run knows it. */
  readonly work?: Work;
  /** Of a case that varies a size. */
  readonly points?: readonly GrowthPoint[];
}

/** What a peer is asked for, besides `model`, `dtype` and `threads`. */
export interface PeerRequest {
  /** The benchmark's name in the peers' protocol (bench/peers/README.md). */
  readonly benchmark: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Leading entries of the reply's `seconds` that are warm-up. */
  readonly warmups: number;
  /** Our work over the peer's, e.g. 4 when it is given a quarter of the queries: its seconds count so many times. */
  readonly scale: number;
  /** Figures that the reply must have, exactly. */
  readonly expected: Readonly<Record<string, number>>;
}

export interface BenchCase {
  /** e.g. "decode B=8". */
  readonly name: string;
  /** Phases that follow one another; each has a limit of its own. */
  readonly phases: Readonly<Record<string, Work>>;
  /** Tokens that the workload processes or makes; 0 where that says nothing. */
  readonly tokens: number;
  /** Threads, where the case asks for others than the run. */
  readonly threads?: number;
  /** The decoder, where the case asks for another than the run. */
  readonly shape?: BenchShape;
  readonly run: (trial: TrialContext) => Promise<CaseResult>;
  readonly peer?: PeerRequest;
}

/** The cases of a workload, in the order in which they are timed. */
export type Workload = (settings: BenchSettings) => readonly BenchCase[];

/** Seconds of an asynchronous call, and what it resolved to. */
export async function timed<T>(call: () => Promise<T>): Promise<{ seconds: number; value: T }> {
  const started = performance.now();
  const value = await call();
  return { seconds: (performance.now() - started) / 1000, value };
}

/** Distinct token lists without a common beginning; the last two tokens of the vocabulary, which peers take for ends, are never used. */
export function tokenLists(count: number, length: number, vocabulary: number, first = 0): Int32Array[] {
  return Array.from({ length: count }, (_, row) =>
    Int32Array.from({ length }, (_, i) => ((first + row + 1) * 7919 + i * 104_729) % (vocabulary - 2)),
  );
}
