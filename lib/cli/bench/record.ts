/** From the trials of several processes to one record per workload, and a table for people. */
import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';
import { formatTable } from '../../eval/index.js';
import { floorOfPhases, type Peak } from './accounting.js';
import type { BenchSettings, Measurement, Trial } from './trial.js';

/** One JSON line of `winnow bench`; seconds are of one run of the workload. */
export interface BenchRecord {
  readonly benchmark: string;
  readonly shape: string;
  readonly dtype: string;
  readonly device: string;
  readonly instructions: string;
  readonly threads: number;
  readonly processor: string;
  readonly node: string;
  readonly commit: string | undefined;
  readonly date: string;
  readonly runs: number;
  readonly secondsMedian: number;
  readonly secondsMin: number;
  readonly secondsMax: number;
  readonly tokensPerSecond: number | undefined;
  readonly flops: number;
  readonly bytes: number;
  readonly peakFlopsPerSecond: number;
  readonly peakBytesPerSecond: number;
  /** Reached FLOP/s over the peak's. */
  readonly fractionOfPeak: number;
  /** The least possible seconds: arithmetic or memory, whichever binds, phase by phase. */
  readonly floorSeconds: number;
  /** floorSeconds / secondsMedian. */
  readonly fractionOfFloor: number;
  readonly details: Readonly<Record<string, number>>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** The commit of the checkout that holds this file; none in an installed package. */
function currentCommit(): string | undefined {
  const run = spawnSync('git', ['-C', import.meta.dirname, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8' });
  return run.status === 0 ? run.stdout.trim() : undefined;
}

/** Merges the same workload of all trials; limits are the best that any trial saw. */
export function makeRecords(trials: readonly Trial[], settings: BenchSettings): BenchRecord[] {
  const first = trials[0];
  if (!first) return [];
  const best = (of: keyof Peak): number => Math.max(...trials.map((trial) => trial.peak[of]));
  const peak = { flopsPerSecond: best('flopsPerSecond'), bytesPerSecond: best('bytesPerSecond') };
  const common = {
    shape: settings.shape,
    dtype: settings.dtype,
    device: first.device,
    instructions: first.instructions,
    threads: first.threads,
    processor: cpus()[0]?.model ?? 'unknown',
    node: process.version,
    commit: currentCommit(),
    date: new Date().toISOString(),
    peakFlopsPerSecond: peak.flopsPerSecond,
    peakBytesPerSecond: peak.bytesPerSecond,
  };
  return first.measurements.map((measurement, index) => {
    const all = trials.map((trial) => trial.measurements[index]).filter((m): m is Measurement => m !== undefined);
    return { ...common, ...summarise(measurement, all, peak) };
  });
}

function summarise(measurement: Measurement, all: readonly Measurement[], peak: Peak) {
  const seconds = all.flatMap((m) => m.seconds);
  const secondsMedian = median(seconds);
  const flops = measurement.phases.reduce((sum, work) => sum + work.flops, 0);
  const floorSeconds = floorOfPhases(measurement.phases, peak);
  const names = Object.keys(measurement.details);
  return {
    benchmark: measurement.name,
    runs: seconds.length,
    secondsMedian,
    secondsMin: Math.min(...seconds),
    secondsMax: Math.max(...seconds),
    tokensPerSecond: measurement.tokens > 0 ? measurement.tokens / secondsMedian : undefined,
    flops,
    bytes: measurement.phases.reduce((sum, work) => sum + work.bytes, 0),
    fractionOfPeak: flops / secondsMedian / peak.flopsPerSecond,
    floorSeconds,
    fractionOfFloor: floorSeconds / secondsMedian,
    details: Object.fromEntries(names.map((name) => [name, median(all.map((m) => m.details[name] ?? Number.NaN))])),
  };
}

export function peakLine(trial: Trial): string {
  const { flopsPerSecond, bytesPerSecond } = trial.peak;
  const limits = `${(flopsPerSecond / 1e9).toFixed(1)} GFLOP/s multiply-add, ${(bytesPerSecond / 1e9).toFixed(1)} GB/s read`;
  return `${trial.device} (${trial.instructions}), ${trial.threads} threads: measured limits ${limits}\n`;
}

function formatSeconds(seconds: number): string {
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  return seconds >= 1e-3 ? `${(seconds * 1e3).toFixed(2)} ms` : `${(seconds * 1e6).toFixed(1)} us`;
}

export function recordTable(records: readonly BenchRecord[]): string {
  const percent = (fraction: number): string => (100 * fraction).toFixed(1);
  const figures = ['median', 'min', 'max', 'tokens/s', 'GFLOP/s', 'GB/s', '% of peak', '% of floor'];
  return formatTable(
    [{ title: 'benchmark' }, { title: 'dtype' }, ...figures.map((title) => ({ title, align: 'right' as const }))],
    records.map((record) => [
      record.benchmark,
      record.dtype,
      formatSeconds(record.secondsMedian),
      formatSeconds(record.secondsMin),
      formatSeconds(record.secondsMax),
      record.tokensPerSecond?.toFixed(1) ?? '',
      (record.flops / record.secondsMedian / 1e9).toFixed(1),
      (record.bytes / record.secondsMedian / 1e9).toFixed(1),
      percent(record.fractionOfPeak),
      percent(record.fractionOfFloor),
    ]),
  );
}
