/** The records of a run for people. */
import { formatTable } from '../../eval/index.js';
import type { Peak } from './accounting.js';
import type { BenchRecord, PeerRecord } from './record.js';
import type { Engine } from './trial.js';

export function peakLine({ device, instructions, threads }: Engine, peak: Peak): string {
  const limits = `${(peak.flopsPerSecond / 1e9).toFixed(1)} GFLOP/s multiply-add, ${(peak.bytesPerSecond / 1e9).toFixed(1)} GB/s read`;
  return `${device} (${instructions}), ${threads} threads: measured limits ${limits}\n`;
}

function formatSeconds(seconds: number): string {
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  return seconds >= 1e-3 ? `${(seconds * 1e3).toFixed(2)} ms` : `${(seconds * 1e6).toFixed(1)} us`;
}

const percent = (fraction: number): string => (100 * fraction).toFixed(1);
const gigabytes = (bytes: number | undefined): string => (bytes === undefined ? '' : (bytes / 1e9).toFixed(2));

/** "5 of 7": trials that the figures rest on, of all that were done. */
const trialCount = ({ runs, trials }: Pick<BenchRecord, 'runs' | 'trials'>): string =>
  runs === trials.length ? `${runs}` : `${runs} of ${trials.length}`;

const shares = (record: BenchRecord): string[] => [
  (record.flops / record.secondsMedian / 1e9).toFixed(1),
  (record.bytes / record.secondsMedian / 1e9).toFixed(1),
  percent(record.fractionOfPeak),
  percent(record.fractionOfFloor),
];

function ourRow(record: BenchRecord): string[] {
  return [
    record.benchmark,
    record.dtype,
    trialCount(record),
    formatSeconds(record.secondsMedian),
    formatSeconds(record.secondsMin),
    formatSeconds(record.secondsMax),
    record.tokensPerSecond?.toFixed(1) ?? '',
    ...(record.floorSeconds > 0 ? shares(record) : ['', '', '', '']),
    gigabytes(record.peakResidentBytes),
    '',
  ];
}

function peerRow(peer: PeerRecord): string[] {
  if (peer.status !== 'done') return [`  ${peer.peer}`, '', peer.status];
  const { secondsMedian, secondsMin, secondsMax, ratio, ratioMin, ratioMax } = peer;
  const ratios = `${ratio.toFixed(2)} [${ratioMin.toFixed(2)}, ${ratioMax.toFixed(2)}]`;
  const seconds = [secondsMedian, secondsMin, secondsMax].map(formatSeconds);
  return [
    `  ${peer.peer}`,
    '',
    trialCount(peer),
    ...seconds,
    '',
    '',
    '',
    '',
    '',
    gigabytes(peer.peakResidentBytes),
    ratios,
  ];
}

/** What cannot be read off a row: why a peer has no time, and what its time stands for. */
function notes(record: BenchRecord): string[] {
  return [...ownNotes(record), ...peerNotes(record)].map((note) => `${record.benchmark}, ${note}`);
}

function ownNotes(record: BenchRecord): string[] {
  const { exponent, exponentOfUpperHalf, exponentOfWork, details, disturbed, trials } = record;
  const { packageBytes, addonBytes } = details;
  const size = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;
  return [
    ...(disturbed > 0 ? [`winnow: ${disturbed} of ${trials.length} trials disturbed`] : []),
    ...(exponent === undefined
      ? []
      : [
          `seconds = a tokens^b: b = ${exponent.toFixed(2)}, of the upper half ${exponentOfUpperHalf?.toFixed(2)}, of the counted work ${exponentOfWork?.toFixed(2)}`,
        ]),
    ...(packageBytes === undefined || addonBytes === undefined
      ? []
      : [`package ${size(packageBytes)} unpacked, addon ${size(addonBytes)}`]),
  ];
}

function peerNotes(record: BenchRecord): string[] {
  return record.peers.flatMap((peer) => {
    if (peer.status !== 'done') return [`${peer.peer}: ${peer.status}: ${peer.reason}`];
    const scaled = peer.scale === 1 ? [] : [`given less work, its time is multiplied by ${peer.scale}`];
    const greedy = peer.sampling === 'greedy' ? ['greedy: it does not sample'] : [];
    return [...scaled, ...greedy].map((note) => `${peer.peer}: ${note}`);
  });
}

export function recordTable(records: readonly BenchRecord[]): string {
  const figures = [
    'trials',
    'median',
    'min',
    'max',
    'tokens/s',
    'GFLOP/s',
    'GB/s',
    '% of peak',
    '% of floor',
    'GB resident',
  ];
  const columns = [...figures, 'peer / ours'].map((title) => ({ title, align: 'right' as const }));
  const rows = records.flatMap((record) => [ourRow(record), ...record.peers.map(peerRow)]);
  const table = formatTable([{ title: 'benchmark' }, { title: 'dtype' }, ...columns], rows);
  return [table, ...records.flatMap(notes).map((note) => `${note}\n`)].join('');
}

/** Phases of one trial, which sum to its wall time. */
export function phaseTable({ benchmark, phases = [] }: BenchRecord): string {
  if (phases.length === 0) return '';
  const total = phases.reduce((sum, { seconds }) => sum + seconds, 0);
  const columns = ['seconds', '% of step', '% of floor'].map((title) => ({ title, align: 'right' as const }));
  const rows = phases.map(({ phase, seconds, floorSeconds }) => [
    phase,
    seconds.toFixed(3),
    percent(seconds / total),
    floorSeconds === undefined || seconds === 0 ? '' : percent(floorSeconds / seconds),
  ]);
  return formatTable(
    [{ title: `${benchmark}: phase` }, ...columns],
    [...rows, ['wall time', total.toFixed(3), '100.0']],
  );
}
