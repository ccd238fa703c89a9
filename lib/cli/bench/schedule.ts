/** The order of trials: A/B/A/B, with the machine's limits measured between them, and again for rounds that something disturbed. */
import type { Peak } from './accounting.js';

export type Attempt =
  | {
      readonly kind: 'done';
      /** Of each repetition. */
      readonly seconds: readonly number[];
      readonly reply: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: 'not done' | 'failed'; readonly reason: string };

/** Ours or a peer. */
export interface Side {
  readonly name: string;
  readonly run: () => Promise<Attempt>;
}

/** One trial of one side, with the limits measured just before and just after it. */
export interface TrialRun {
  readonly side: string;
  readonly round: number;
  readonly attempt: Attempt;
  readonly before: Peak;
  readonly after: Peak;
}

export interface Schedule {
  readonly sides: readonly Side[];
  readonly trials: number;
  /** At most so many rounds more, in place of disturbed ones. */
  readonly repeats: number;
  /** Asked before every round but the first: whether the time for more of them is over. */
  readonly isOver: () => boolean;
  readonly measureLimits: () => Promise<Peak>;
  /** The limits of the whole run so far: `runLimits`. */
  readonly best: () => Peak;
  readonly onTrial?: (run: TrialRun) => void;
}

/**
 * A machine whose limits fall below these shares of the run's is doing something else. Reading scatters more than arithmetic: virtual
 * machines were seen to go from 33 to 42 GB/s and back with nothing else on them.
 */
const QUIET_SHARE: Readonly<Record<keyof Peak, number>> = { flopsPerSecond: 0.9, bytesPerSecond: 0.75 };

export function isDisturbed({ before, after }: Pick<TrialRun, 'before' | 'after'>, best: Peak): boolean {
  const fell = (of: keyof Peak): boolean => Math.min(before[of], after[of]) < QUIET_SHARE[of] * best[of];
  return fell('flopsPerSecond') || fell('bytesPerSecond');
}

/** The upper quartile of each limit: other load can only lower one, and a single measurement far above the others does not count. */
export function runLimits(measured: readonly Peak[]): Peak {
  const quartile = (of: keyof Peak): number => {
    const sorted = measured.map((peak) => peak[of]).sort((a, b) => b - a);
    return sorted[Math.floor(sorted.length / 4)] as number;
  };
  return { flopsPerSecond: quartile('flopsPerSecond'), bytesPerSecond: quartile('bytesPerSecond') };
}

/**
 * Runs `trials` rounds, each side once a round, in their order. A side that fails or does not do the work takes no further part. Then,
 * while some side has fewer than `trials` undisturbed trials and repeats are left, another whole round, so that sides stay interleaved. Once
 * the time is over, no further round begins.
 */
export async function interleave(schedule: Schedule): Promise<TrialRun[]> {
  const runs: TrialRun[] = [];
  let sides = schedule.sides;
  let before = await schedule.measureLimits();
  const undisturbed = (side: string): number =>
    runs.filter((run) => run.side === side && !isDisturbed(run, schedule.best())).length;
  for (let round = 1; round <= schedule.trials + schedule.repeats; round++) {
    if (round > schedule.trials && sides.every(({ name }) => undisturbed(name) >= schedule.trials)) break;
    if (round > 1 && schedule.isOver()) break;
    const left: Side[] = [];
    for (const side of sides) {
      const attempt = await side.run();
      const after = await schedule.measureLimits();
      const run = { side: side.name, round, attempt, before, after };
      runs.push(run);
      schedule.onTrial?.(run);
      if (attempt.kind === 'done') left.push(side);
      before = after;
    }
    sides = left;
  }
  return runs;
}

/** What a side's figures rest on. */
export interface KeptTrials {
  /** Undisturbed trials; all of them where fewer than three are. */
  readonly kept: readonly TrialRun[];
  /** How many were disturbed. */
  readonly disturbed: number;
}

const LEAST_UNDISTURBED = 3;

export function keepTrials(runs: readonly TrialRun[], best: Peak): KeptTrials {
  const done = runs.filter(({ attempt }) => attempt.kind === 'done');
  const quiet = done.filter((run) => !isDisturbed(run, best));
  const enough = quiet.length >= Math.min(LEAST_UNDISTURBED, done.length);
  return { kept: enough ? quiet : done, disturbed: done.length - quiet.length };
}
