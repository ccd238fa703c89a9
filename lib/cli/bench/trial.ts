/** What one benchmark process measures: the workloads themselves, and the machine's limits in the same minute. */
import type { DTypeName, Session } from '../../native/index.js';
import type { Peak, Work } from './accounting.js';
import type { BenchShape } from './shapes.js';

/** What the options of `winnow bench` choose. */
export interface BenchSettings {
  readonly shape: BenchShape;
  readonly dtype: DTypeName;
  readonly prompt: number;
  readonly completion: number;
  readonly group: number;
}

/** One timed workload of one process. */
export interface Measurement {
  /** e.g. "decode B=8". */
  readonly name: string;
  readonly seconds: readonly number[];
  /** Phases that follow one another; each has a limit of its own. */
  readonly phases: readonly Work[];
  /** Tokens that the workload processes or makes; 0 where that says nothing. */
  readonly tokens: number;
  /** Further figures for the record, e.g. seconds of a phase. */
  readonly details: Readonly<Record<string, number>>;
}

export interface Trial {
  readonly peak: Peak;
  readonly device: string;
  readonly instructions: string;
  readonly threads: number;
  readonly measurements: readonly Measurement[];
}

const PEAK_REPEATS = 25;

/** The best of a few runs: other load on the machine can only slow them down. */
export async function measurePeak(session: Session, dtype: DTypeName): Promise<Peak> {
  const best = async (name: string, of: 'flops' | 'bytes'): Promise<number> => {
    const result = await session.benchmark({ name, shape: {}, dtype, repeats: PEAK_REPEATS });
    return result[of] / Math.min(...result.seconds);
  };
  return { flopsPerSecond: await best('peak', 'flops'), bytesPerSecond: await best('stream', 'bytes') };
}

/** Limits before and after `measure`; the better of both counts, so that a busy moment flatters nobody. */
export async function runTrial(
  session: Session,
  dtype: DTypeName,
  measure: (session: Session) => Promise<readonly Measurement[]>,
): Promise<Trial> {
  const before = await measurePeak(session, dtype);
  const measurements = await measure(session);
  const after = await measurePeak(session, dtype);
  const peak = {
    flopsPerSecond: Math.max(before.flopsPerSecond, after.flopsPerSecond),
    bytesPerSecond: Math.max(before.bytesPerSecond, after.bytesPerSecond),
  };
  const { device, instructions, threads } = session;
  return { peak, device, instructions, threads, measurements };
}

/** Seconds of an asynchronous call, and what it resolved to. */
export async function timed<T>(call: () => Promise<T>): Promise<{ seconds: number; value: T }> {
  const started = performance.now();
  const value = await call();
  return { seconds: (performance.now() - started) / 1000, value };
}
