/** From the trials of one case to one record. */
import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';
import { floorOfPhases, floorSeconds, type Peak, sumOfWork, type Work } from './accounting.js';
import type { BenchCase, BenchSettings } from './case.js';
import { type GrowthPoint, growthExponent } from './growth.js';
import { isDisturbed, keepTrials, type TrialRun } from './schedule.js';
import { median, spread } from './statistics.js';
import type { CaseReply } from './trial.js';

/** One trial as it is kept in a record. */
export interface TrialFigures {
  readonly round: number;
  /** Of each repetition. */
  readonly seconds: readonly number[];
  /** The lower of the limits just before and just after. */
  readonly flopsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly disturbed: boolean;
}

interface TrialSummary {
  readonly trials: readonly TrialFigures[];
  /** Trials that the figures rest on. */
  readonly runs: number;
  readonly disturbed: number;
  readonly secondsMedian: number;
  readonly secondsMin: number;
  readonly secondsMax: number;
  /** Median absolute deviation from the median. */
  readonly secondsMad: number;
  readonly peakResidentBytes: number | undefined;
}

export type PeerRecord = {
  readonly peer: string;
  /** What was compared before it was timed. */
  readonly check: string;
} & (
  | ({
      readonly status: 'done';
      /** The peer's median over ours: how many times as fast we are. */
      readonly ratio: number;
      /** Of the rounds in which both were timed. */
      readonly ratioMin: number;
      readonly ratioMax: number;
      /** Our work over the peer's, by which its seconds were multiplied. */
      readonly scale: number;
      readonly versions: unknown;
      readonly sampling?: unknown;
    } & TrialSummary)
  | { readonly status: 'not done' | 'failed'; readonly reason: string }
);

export interface PhaseRecord {
  readonly phase: string;
  readonly seconds: number;
  readonly floorSeconds: number | undefined;
}

/** One JSON line of `winnow bench`; seconds are of one run of the workload, and of a trial the median of its repetitions. */
export interface BenchRecord extends TrialSummary {
  readonly benchmark: string;
  readonly shape: string;
  readonly dtype: string;
  readonly device: string;
  readonly instructions: string;
  readonly threads: number;
  /** Null where processes cannot be pinned. */
  readonly pinnedCores: readonly number[] | null;
  readonly processor: string;
  readonly node: string;
  readonly commit: string | undefined;
  /** Whether the checkout had changes that are in no commit. */
  readonly dirty: boolean | undefined;
  readonly date: string;
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
  /** Of the trial nearest the median; they sum to its wall time. */
  readonly phases: readonly PhaseRecord[] | undefined;
  /** Of a case that varies a size: medians over the trials. */
  readonly points?: readonly GrowthPoint[];
  /** b of seconds = a tokens^b over the points, and over the upper half of them, where fixed costs count less. */
  readonly exponent?: number;
  readonly exponentOfUpperHalf?: number;
  /** The same of operations = a tokens^b: what seconds would grow by at one speed. */
  readonly exponentOfWork?: number;
  readonly peers: readonly PeerRecord[];
}

/** The commit of the checkout that holds this file, and whether it has changes; none in an installed package. */
export function currentCommit(): Pick<BenchRecord, 'commit' | 'dirty'> {
  const git = (...args: string[]) => spawnSync('git', ['-C', import.meta.dirname, ...args], { encoding: 'utf8' });
  const head = git('rev-parse', '--short', 'HEAD');
  if (head.status !== 0) return { commit: undefined, dirty: undefined };
  return { commit: head.stdout.trim(), dirty: git('status', '--porcelain').stdout.trim() !== '' };
}

/** Done trials of one side; undefined where there is none. */
function summarise(runs: readonly TrialRun[], best: Peak): TrialSummary | undefined {
  const { kept, disturbed } = keepTrials(runs, best);
  if (kept.length === 0) return undefined;
  const trials = runs.flatMap((run) =>
    run.attempt.kind === 'done'
      ? [
          {
            round: run.round,
            seconds: run.attempt.seconds,
            flopsPerSecond: Math.min(run.before.flopsPerSecond, run.after.flopsPerSecond),
            bytesPerSecond: Math.min(run.before.bytesPerSecond, run.after.bytesPerSecond),
            disturbed: isDisturbed(run, best),
          },
        ]
      : [],
  );
  const over = spread(kept.map(secondsOf));
  const resident = kept.map(({ attempt }) => (attempt.kind === 'done' ? attempt.reply.peakResidentBytes : undefined));
  const bytes = resident.filter((value): value is number => typeof value === 'number');
  return {
    trials,
    runs: kept.length,
    disturbed,
    secondsMedian: over.median,
    secondsMin: over.min,
    secondsMax: over.max,
    secondsMad: over.mad,
    peakResidentBytes: bytes.length > 0 ? median(bytes) : undefined,
  };
}

const secondsOf = ({ attempt }: TrialRun): number => (attempt.kind === 'done' ? median(attempt.seconds) : Number.NaN);

/** A peer that failed once is failed: figures of the trials before would look like those of a whole run. */
function peerRecord(
  { name: peer, check }: TimedPeer,
  runs: readonly TrialRun[],
  ours: readonly TrialRun[],
  best: Peak,
  scale: number,
): PeerRecord {
  const { attempt } = runs.at(-1) as TrialRun;
  if (attempt.kind !== 'done') return { peer, check, status: attempt.kind, reason: attempt.reason };
  const own = summarise(ours, best) as TrialSummary;
  const summary = summarise(runs, best) as TrialSummary;
  const ourKept = keepTrials(ours, best).kept;
  const ratios = keepTrials(runs, best).kept.flatMap((run) => {
    const beside = ourKept.find(({ round }) => round === run.round);
    return beside === undefined ? [] : [secondsOf(run) / secondsOf(beside)];
  });
  const ratio = summary.secondsMedian / own.secondsMedian;
  const { versions, sampling } = attempt.reply;
  return {
    peer,
    check,
    status: 'done',
    ratio,
    ratioMin: Math.min(...ratios, ratio),
    ratioMax: Math.max(...ratios, ratio),
    scale,
    versions,
    ...(sampling === undefined ? {} : { sampling }),
    ...summary,
  };
}

/** Seconds by phase, with a row for what no phase accounts for, so that they sum to `seconds`. */
export function profile(
  seconds: number,
  phaseSeconds: Readonly<Record<string, number>>,
  work: Readonly<Record<string, Work>>,
  peak: Peak,
): PhaseRecord[] {
  const rows = Object.entries(phaseSeconds).map(([phase, taken]) => {
    const own = work[phase];
    return { phase, seconds: taken, floorSeconds: own === undefined ? undefined : floorSeconds(own, peak) };
  });
  const accounted = rows.reduce((sum, row) => sum + row.seconds, 0);
  return [...rows, { phase: 'not accounted for', seconds: seconds - accounted, floorSeconds: undefined }];
}

function growthFigures(
  replies: readonly CaseReply[],
): Pick<BenchRecord, 'points' | 'exponent' | 'exponentOfUpperHalf' | 'exponentOfWork'> {
  const points = replies[0]?.points?.map((point, index) => ({
    ...point,
    seconds: median(replies.map((reply) => reply.points?.[index]?.seconds ?? Number.NaN)),
  }));
  if (points === undefined) return {};
  const upper = points.slice(points.length >> 1);
  return {
    points,
    exponent: growthExponent(points, 'seconds'),
    exponentOfUpperHalf: growthExponent(upper, 'seconds'),
    exponentOfWork: growthExponent(points, 'operations'),
  };
}

export interface TimedPeer {
  readonly name: string;
  readonly check: string;
}

export interface RecordParts {
  readonly benchCase: BenchCase;
  readonly settings: BenchSettings;
  readonly pinnedCores: readonly number[] | undefined;
  readonly runs: readonly TrialRun[];
  /** The name of our side in `runs`. */
  readonly ours: string;
  readonly best: Peak;
  readonly timedPeers: readonly TimedPeer[];
  /** Peers that were not timed, and why. */
  readonly refused: readonly PeerRecord[];
  readonly commit: Pick<BenchRecord, 'commit' | 'dirty'>;
}

/** The figures of one case: ours, and each peer's beside it. At least one of our trials must be done. */
export function makeRecord(parts: RecordParts): BenchRecord {
  const { benchCase, settings, pinnedCores, runs, best, refused, commit } = parts;
  const ours = runs.filter(({ side }) => side === parts.ours);
  const summary = summarise(ours, best) as TrialSummary;
  const replies = keepTrials(ours, best).kept.map(
    ({ attempt }) => (attempt as { reply: unknown }).reply as unknown as CaseReply,
  );
  const first = replies[0] as CaseReply;
  const works = first.work === undefined ? Object.values(benchCase.phases) : [first.work];
  const { flops, bytes } = sumOfWork(works);
  const floor = floorOfPhases(works, best);
  const distance = (reply: CaseReply): number => Math.abs(median(reply.seconds) - summary.secondsMedian);
  const typical = replies.reduce((nearest, reply) => (distance(reply) < distance(nearest) ? reply : nearest));
  return {
    benchmark: benchCase.name,
    shape: settings.shape,
    dtype: settings.dtype,
    device: first.device,
    instructions: first.instructions,
    threads: first.threads,
    pinnedCores: pinnedCores ?? null,
    processor: cpus()[0]?.model ?? 'unknown',
    node: process.version,
    ...commit,
    date: new Date().toISOString(),
    ...summary,
    tokensPerSecond: benchCase.tokens > 0 ? benchCase.tokens / summary.secondsMedian : undefined,
    flops,
    bytes,
    peakFlopsPerSecond: best.flopsPerSecond,
    peakBytesPerSecond: best.bytesPerSecond,
    fractionOfPeak: flops / summary.secondsMedian / best.flopsPerSecond,
    floorSeconds: floor,
    fractionOfFloor: floor / summary.secondsMedian,
    details: Object.fromEntries(
      Object.keys(first.details).map((name) => [name, median(replies.map((r) => r.details[name] ?? Number.NaN))]),
    ),
    phases: typical.phaseSeconds && profile(median(typical.seconds), typical.phaseSeconds, benchCase.phases, best),
    ...growthFigures(replies),
    peers: [
      ...parts.timedPeers.map((peer) => {
        const theirs = runs.filter(({ side }) => side === peer.name);
        return peerRecord(peer, theirs, ours, best, benchCase.peer?.scale ?? 1);
      }),
      ...refused,
    ],
  };
}
