/** The curves of a report: which figures stand together, and where they come from. */
import type { EvaluationRecord, StepRecord, TimingRecord } from '../train/events.js';
import { type LineChart, lineChart, type Point, type Series } from './chart.js';
import { escapeHtml } from './escape.js';
import { kMeasures } from './evaluation-table.js';
import type { RunData } from './run-data.js';

type Panel = Omit<LineChart, 'series' | 'marks'> & {
  readonly names: readonly (readonly [label: string, metric: string])[];
};

const kReward: Panel = { title: 'Reward', caption: 'mean over completions', names: [['reward', 'reward']] };

const kPanels: readonly Panel[] = [
  {
    title: 'Malformed and truncated',
    caption: 'share of completions',
    names: [
      ['malformed', 'malformed_rate'],
      ['truncated', 'completions/clipped_ratio'],
    ],
    minimumSpan: 0.1,
  },
  {
    title: 'Groups without signal',
    caption: 'share with equal rewards',
    names: [['share', 'frac_reward_zero_std']],
    minimumSpan: 0.2,
  },
  { title: 'Entropy', caption: 'per sampled token, nats', names: [['entropy', 'entropy']], minimumSpan: 0.02 },
  {
    title: 'Completion length',
    caption: 'tokens',
    names: [
      ['mean', 'completions/mean_length'],
      ['longest', 'completions/max_length'],
    ],
    minimumSpan: 4,
  },
  { title: 'KL to the reference', caption: 'estimate per token', names: [['kl', 'kl']], minimumSpan: 1e-3 },
  {
    title: 'Clipped tokens',
    caption: 'share, by bound',
    names: [
      ['any', 'clip_ratio/region_mean'],
      ['low', 'clip_ratio/low_mean'],
      ['high', 'clip_ratio/high_mean'],
    ],
    minimumSpan: 0.01,
  },
  { title: 'Value loss', caption: 'of the critic', names: [['loss', 'critic/vf_loss']], minimumSpan: 1e-3 },
  {
    title: 'Explained variance',
    caption: 'of returns by the critic; 1 is all, 0 their mean',
    names: [['explained', 'critic/vf_explained_var']],
    minimumSpan: 0.2,
  },
  {
    title: 'Sampler against trainer',
    caption: '|log ratio|; 0 is exactly on-policy',
    names: [
      ['mean', 'sampling/sampling_logp_difference/mean'],
      ['largest', 'sampling/sampling_logp_difference/max'],
    ],
    minimumSpan: 1e-6,
  },
  { title: 'Loss', caption: 'supervised, per token', names: [['loss', 'loss']] },
  {
    title: 'Gradient norm',
    caption: 'before clipping',
    names: [
      ['all', 'grad_norm'],
      ['embedding', 'grad_norm/embedding'],
      ['attention', 'grad_norm/attention'],
      ['MLP', 'grad_norm/mlp'],
      ['head', 'grad_norm/head'],
      ['norms', 'grad_norm/norm'],
      ['biases', 'grad_norm/bias'],
    ],
  },
  { title: 'Learning rate', caption: '', names: [['rate', 'learning_rate']], exact: true },
];

/** Seconds of a step; what is not named here is what the total has beyond it. */
export const kPhases: readonly (readonly [phase: string, label: string])[] = [
  ['generate', 'generate'],
  ['forward', 'forward'],
  ['head', 'head and loss'],
  ['backward', 'backward'],
  ['update', 'update'],
  ['values', 'values'],
  ['update_critic', 'critic'],
];

export function charts(data: RunData): string {
  const { steps, timing } = data;
  const drawn = [
    metricCurves(kReward, steps),
    evaluationCurves(data.evaluations),
    taskCurves(data),
    ...kPanels.map((panel) => metricCurves(panel, steps)),
    timeCurves(timing, steps),
    rateCurves(timing, steps),
  ].filter((figure) => figure !== '');
  if (drawn.length === 0) return '';
  return `<h2>Curves</h2><section class="charts">${drawn.join('')}</section>`;
}

function metricCurves({ names, ...panel }: Panel, steps: readonly StepRecord[]): string {
  // The loss of a policy gradient is about 0 whatever happens (advantages average out): only supervised losses say something.
  const shown = names[0]?.[1] === 'loss' ? steps.filter(({ kind }) => kind !== 'grpo' && kind !== 'ppo') : steps;
  const series = names.map(([label, metric]) => ({ label, points: pointsOf(shown, metric) }));
  return withMarks(
    panel,
    series.filter(({ points }) => points.length > 0),
    steps,
  );
}

/** Measures of the model over the run; two evaluations at least. */
function evaluationCurves(all: readonly EvaluationRecord[]): string {
  const rows = all.filter(({ kind }) => kind !== 'baseline');
  const rankings = kMeasures.filter(([measure]) => measure !== 'malformed_rate');
  const series = rankings.map(([measure, label]) => ({
    label,
    points: valuesOf(rows, ({ measures }) => measures[measure]?.mean),
  }));
  const caption = 'test instances, model as it was at the step';
  return evaluated({ title: 'Evaluation during training', caption, minimumSpan: 0.1 }, series);
}

/** By task: the accuracy on test instances where it was evaluated, or else the reward of the completions. */
function taskCurves({ evaluations, steps }: RunData): string {
  const rows = evaluations.filter(({ kind }) => kind !== 'baseline');
  const tasks = [...new Set(rows.flatMap(({ tasks: own }) => Object.keys(own ?? {})))].sort();
  const accuracy = rows.some(({ measures }) => measures.exclusion_accuracy) ? 'exclusion_accuracy' : 'mrr';
  const name = accuracy === 'mrr' ? 'MRR' : 'exclusion accuracy';
  const measured = tasks.map((task) => ({
    label: task,
    points: valuesOf(rows, (row) => row.tasks?.[task]?.means[accuracy]),
  }));
  const panel = { title: 'Accuracy by task', caption: `${name} on test instances`, minimumSpan: 0.1 };
  const names = [
    ...new Set(steps.flatMap(({ metrics }) => Object.keys(metrics).filter((key) => kTaskReward.test(key)))),
  ];
  const rewards = names
    .sort()
    .map((metric) => ({ label: metric.replace(kTaskReward, '$1'), points: pointsOf(steps, metric) }));
  const reward = { title: 'Reward by task', caption: 'mean over completions' };
  return (rewards.length === 0 ? '' : withMarks(reward, rewards, steps)) + evaluated(panel, measured);
}

const kTaskReward = /^tasks\/(.*)\/reward$/;

function timeCurves(timing: readonly TimingRecord[], steps: readonly StepRecord[]): string {
  const series = kPhases.map(([phase, label]) => ({ label, points: timesOf(timing, ({ seconds }) => seconds[phase]) }));
  const used = series.filter(({ points }) => points.some(([, value]) => value > 0));
  return withMarks({ title: 'Time of a step by phase', caption: 'seconds' }, used, steps);
}

function rateCurves(timing: readonly TimingRecord[], steps: readonly StepRecord[]): string {
  const of = (name: string) => timesOf(timing, ({ rates }) => rates?.[name]);
  const speeds = [
    { label: 'sampled', points: of('tokens_per_second/generate') },
    { label: 'scored', points: of('tokens_per_second/score') },
    { label: 'by the reference', points: of('tokens_per_second/reference') },
    { label: 'trained', points: of('tokens_per_second/update') },
  ].filter(({ points }) => points.length > 0);
  const mfu = [{ label: 'share', points: of('perf/mfu/actor') }];
  return (
    withMarks({ title: 'Tokens per second', caption: 'of the phase they were spent in' }, speeds, steps) +
    withMarks(
      { title: 'Model FLOPs utilisation', caption: 'share of report.peakTeraflops', minimumSpan: 0.01 },
      mfu,
      steps,
    )
  );
}

function evaluated(panel: Omit<LineChart, 'series' | 'marks'>, all: readonly Series[]): string {
  const series = all.filter(({ points }) => points.length > 1);
  return series.length === 0 ? '' : lineChart({ ...panel, series, marks: [], exact: true });
}

function withMarks(
  panel: Omit<LineChart, 'series' | 'marks'>,
  series: readonly Series[],
  steps: readonly StepRecord[],
): string {
  const used = series.flatMap(({ points }) => points.map(([x]) => x));
  const first = used.reduce((least, x) => Math.min(least, x), Number.POSITIVE_INFINITY);
  const last = used.reduce((most, x) => Math.max(most, x), 0);
  const starts = steps
    .filter(({ stage_step }) => stage_step === 1)
    .map(({ step, stage }) => ({ x: step, label: stage }));
  return lineChart({ ...panel, series, marks: starts.filter(({ x }) => x > first && x <= last) });
}

function pointsOf(steps: readonly StepRecord[], metric: string): Point[] {
  return steps.flatMap(({ step, metrics }): Point[] => point(step, metrics[metric]));
}

function timesOf(timing: readonly TimingRecord[], value: (record: TimingRecord) => number | undefined): Point[] {
  return timing.flatMap((record) => point(record.step, value(record)));
}

/** One point a step: the end of a stage may stand there twice. */
function valuesOf(rows: readonly EvaluationRecord[], value: (row: EvaluationRecord) => number | undefined): Point[] {
  const byStep = new Map(rows.map((row) => [row.step, value(row)]));
  return [...byStep].flatMap(([step, own]) => point(step, own));
}

/** A number that was not finite is null in the journal. */
function point(step: number, value: number | null | undefined): Point[] {
  return value === undefined || value === null ? [] : [[step, value]];
}

export function taskTable(evaluations: readonly EvaluationRecord[]): string {
  const row = evaluations.findLast(({ kind, tasks }) => kind !== 'baseline' && tasks !== undefined);
  if (row?.tasks === undefined) return '';
  const columns = kMeasures.filter(([measure]) => row.measures[measure] !== undefined);
  const head = columns.map(([, label]) => `<th>${escapeHtml(label)}</th>`).join('');
  const body = Object.entries(row.tasks).map(([task, { instances, means }]) => {
    const cells = columns.map(([measure]) => `<td>${((means[measure] ?? Number.NaN) * 100).toFixed(1)}</td>`).join('');
    return `<tr><td>${escapeHtml(task)}</td>${cells}<td>${instances}</td></tr>`;
  });
  return `<h2>By task</h2><section class="panel"><table><thead><tr><th>${escapeHtml(row.label)}, × 100</th>${head}<th>instances</th></tr></thead>
<tbody>${body.join('')}</tbody></table></section>`;
}
