// Two runs of `winnow bench`, record by record: what became worse by more than the trials scatter.

/** What is read of a record; older ones lack some fields. */
export interface ComparedRecord {
  readonly benchmark: string;
  readonly shape: string;
  readonly dtype: string;
  readonly threads: number;
  readonly instructions: string;
  readonly device?: string;
  readonly secondsMedian: number;
  readonly secondsMin: number;
  readonly secondsMax: number;
  readonly secondsMad?: number;
  readonly fractionOfPeak: number;
  readonly fractionOfFloor: number;
  readonly floorSeconds: number;
  readonly peakResidentBytes?: number;
  readonly peers?: readonly ComparedPeer[];
}

export interface ComparedPeer {
  readonly peer: string;
  readonly status: string;
  readonly ratio?: number;
  readonly secondsMedian?: number;
  readonly secondsMad?: number;
}

/** One figure of one record, in both runs; higher is better. */
export interface Comparison {
  readonly key: string;
  readonly figure: string;
  readonly old: number;
  readonly new: number;
  /** new / old - 1. */
  readonly change: number;
  /** How far a change must go before it is one. */
  readonly limit: number;
  readonly verdict: 'worse' | 'better' | 'same';
}

/** Below this no change is believed, however little the trials scatter. */
export const LEAST_CHANGE = 0.03;
/** Memory hardly scatters, but the allocator's leftovers do. */
const MEMORY_CHANGE = 0.05;
/** Deviations of a median absolute deviation in one standard deviation of a normal distribution. */
const DEVIATIONS = 1.4826;
const STANDARD_DEVIATIONS = 3;

export const keyOf = ({ benchmark, shape, dtype, threads, instructions, device = 'cpu' }: ComparedRecord): string =>
  [benchmark, shape, dtype, `${threads} threads`, `${device} (${instructions})`].join(', ');

/** Scatter of the seconds over their median; a record without deviations has its whole range taken for them. */
export function relativeScatter(
  record: Pick<ComparedRecord, 'secondsMedian' | 'secondsMin' | 'secondsMax' | 'secondsMad'>,
): number {
  const mad = record.secondsMad ?? (record.secondsMax - record.secondsMin) / 2;
  return (DEVIATIONS * mad) / record.secondsMedian;
}

/** Scatters of independent figures add as squares. */
const limitOf = (...scatters: readonly number[]): number =>
  Math.max(LEAST_CHANGE, STANDARD_DEVIATIONS * Math.hypot(...scatters));

export function compareFigure(key: string, figure: string, older: number, newer: number, limit: number): Comparison {
  const change = newer / older - 1;
  const factor = 1 + limit;
  const verdict = newer < older / factor ? 'worse' : newer > older * factor ? 'better' : 'same';
  return { key, figure, old: older, new: newer, change, limit, verdict };
}

function comparePeers(key: string, older: ComparedRecord, newer: ComparedRecord): Comparison[] {
  return (newer.peers ?? []).flatMap((peer) => {
    const before = older.peers?.find((other) => other.peer === peer.peer);
    if (before?.ratio === undefined || peer.ratio === undefined) return [];
    const scatter = ({ secondsMedian = 1, secondsMad = 0 }: ComparedPeer): number =>
      (DEVIATIONS * secondsMad) / secondsMedian;
    const limit = limitOf(relativeScatter(older), relativeScatter(newer), scatter(before), scatter(peer));
    return [compareFigure(key, `ratio to ${peer.peer}`, before.ratio, peer.ratio, limit)];
  });
}

/**
 * By shares and ratios, which the machine's speed of the day leaves alone, and not by seconds: the share of the floor where there is
 * one, else of the peak, and the ratio to each peer.
 */
export function compareRecord(older: ComparedRecord, newer: ComparedRecord): Comparison[] {
  const key = keyOf(newer);
  const limit = limitOf(relativeScatter(older), relativeScatter(newer));
  const share = newer.floorSeconds > 0 ? 'fractionOfFloor' : 'fractionOfPeak';
  const shares =
    newer[share] > 0 && older[share] > 0 ? [compareFigure(key, share, older[share], newer[share], limit)] : [];
  const { peakResidentBytes: bytes } = newer;
  const memory =
    bytes === undefined || older.peakResidentBytes === undefined
      ? []
      : [compareFigure(key, 'gigabytes resident, inverse', 1e9 / older.peakResidentBytes, 1e9 / bytes, MEMORY_CHANGE)];
  return [...shares, ...memory, ...comparePeers(key, older, newer)];
}

export interface RunComparison {
  readonly comparisons: readonly Comparison[];
  /** Keys that only one of the runs has. */
  readonly onlyOld: readonly string[];
  readonly onlyNew: readonly string[];
}

/** Of several records with one key the last one counts: a run that was done again is appended. */
export function compareRuns(older: readonly ComparedRecord[], newer: readonly ComparedRecord[]): RunComparison {
  const before = new Map(older.map((record) => [keyOf(record), record]));
  const after = new Map(newer.map((record) => [keyOf(record), record]));
  const comparisons = [...after].flatMap(([key, record]) => {
    const old = before.get(key);
    return old === undefined ? [] : compareRecord(old, record);
  });
  return {
    comparisons,
    onlyOld: [...before.keys()].filter((key) => !after.has(key)),
    onlyNew: [...after.keys()].filter((key) => !before.has(key)),
  };
}

/** A JSON array of records, or one record a line. */
export function readRecords(text: string): ComparedRecord[] {
  if (text.trimStart().startsWith('[')) return JSON.parse(text) as ComparedRecord[];
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as ComparedRecord);
}
