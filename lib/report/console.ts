/** A run on the console: one live line with a progress bar on a terminal, plain lines elsewhere, JSON lines on request. */
import type { Metrics, StepRecord, TrainEvent } from '../train/events.js';
import { formatCount, formatDuration, formatNumber, formatPercent } from './format.js';

export interface ConsoleOptions {
  /** Commonly process.stderr. */
  readonly stream: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };
  readonly json: boolean;
  /** Milliseconds now; for tests. */
  readonly now?: () => number;
}

const kRedrawMs = 100;
const kPlainLineMs = 5000;
const kBarWidth = 24;

export class ConsoleReporter {
  readonly #options: ConsoleOptions;
  readonly #live: boolean;
  readonly #now: () => number;
  #shownAt = Number.NEGATIVE_INFINITY;
  #lineOpen = false;
  #stageSeconds = 0;
  #stage = '';

  constructor(options: ConsoleOptions) {
    this.#options = options;
    this.#live = options.stream.isTTY === true && !options.json;
    this.#now = options.now ?? (() => performance.now());
  }

  on(event: TrainEvent): void {
    if (this.#options.json) {
      this.#options.stream.write(`${JSON.stringify(event, (key, value) => (key === 'samples' ? undefined : value))}\n`);
    } else if (event.type === 'step') {
      this.#step(event);
    } else if (event.type === 'evaluating') {
      if (this.#live) this.#draw(`evaluating ${event.label} ...`);
    } else if (event.type !== 'checkpoint' || !this.#live) {
      this.#line(eventLine(event));
    }
  }

  /** Takes the live line away, so that what comes next starts clean. */
  end(): void {
    if (this.#lineOpen) this.#options.stream.write('\r\x1b[K');
    this.#lineOpen = false;
  }

  #step({ record, timing, stageSteps }: Extract<TrainEvent, { type: 'step' }>): void {
    if (record.stage !== this.#stage) {
      this.#stage = record.stage;
      this.#stageSeconds = 0;
    }
    this.#stageSeconds += timing.seconds.total ?? 0;
    const last = record.stage_step === stageSteps;
    const due = this.#now() - this.#shownAt >= (this.#live ? kRedrawMs : kPlainLineMs);
    if (!due && !last) return;
    this.#shownAt = this.#now();
    const left = (this.#stageSeconds / record.stage_step) * (stageSteps - record.stage_step);
    const text = stepLine(record, stageSteps, left, this.#live);
    if (this.#live && !last) this.#draw(text);
    else this.#line(text);
  }

  #draw(text: string): void {
    const columns = this.#options.stream.columns ?? 80;
    this.#options.stream.write(`\r\x1b[K${text.slice(0, columns - 1)}`);
    this.#lineOpen = true;
  }

  #line(text: string): void {
    this.end();
    this.#options.stream.write(`${text}\n`);
  }
}

/** The measures that tell most about a step, by kind of stage. */
const kShown: Readonly<
  Record<StepRecord['kind'], readonly (readonly [label: string, metric: keyof Metrics, percent: boolean])[]>
> = {
  sft: [
    ['loss', 'loss', false],
    ['norm', 'grad_norm', false],
  ],
  grpo: [
    ['reward', 'reward', false],
    ['malformed %', 'malformed_rate', true],
    ['no signal %', 'frac_reward_zero_std', true],
    ['entropy', 'entropy', false],
  ],
  ppo: [
    ['reward', 'reward', false],
    ['malformed %', 'malformed_rate', true],
    ['explained', 'critic/vf_explained_var', false],
    ['entropy', 'entropy', false],
  ],
  'best-of-n': [
    ['reward', 'reward', false],
    ['malformed %', 'malformed_rate', true],
    ['no signal %', 'frac_reward_zero_std', true],
    ['loss', 'loss', false],
  ],
};

function stepLine(record: StepRecord, stageSteps: number, secondsLeft: number, bar: boolean): string {
  const done = record.stage_step / stageSteps;
  const filled = Math.floor(done * kBarWidth);
  const figures = kShown[record.kind].flatMap(([label, metric, percent]) => {
    const value = record.metrics[metric];
    return value === undefined ? [] : [`${label} ${percent ? formatPercent(value) : formatNumber(value)}`];
  });
  const parts = [
    record.stage,
    ...(bar ? [`[${'='.repeat(filled)}${' '.repeat(kBarWidth - filled)}]`] : []),
    `${record.stage_step}/${stageSteps}`,
    ...figures,
    ...(record.stage_step < stageSteps ? [`${formatDuration(secondsLeft)} left`] : []),
  ];
  return parts.join('  ');
}

function eventLine(event: Exclude<TrainEvent, { type: 'step' | 'evaluating' }>): string {
  switch (event.type) {
    case 'start': {
      const length = event.step > 0 ? `continuing after step ${event.step} of ${event.steps}` : `${event.steps} steps`;
      const { parameters, trainedParameters } = event;
      const trained = trainedParameters === parameters ? '' : `, ${formatCount(trainedParameters)} of an adapter,`;
      return `${formatCount(parameters)} parameters${trained} on ${event.device}, ${length}, output ${event.output}`;
    }
    case 'evaluation': {
      const measures = Object.entries(event.record.measures);
      return `${event.record.label}: ${measures.map(([name, { mean }]) => `${name} ${formatPercent(mean)}`).join('  ')}`;
    }
    case 'comparison': {
      const { label, baseline, gains } = event.record;
      const shown = Object.entries(gains).map(
        ([name, { mean, low, high }]) => `${name} ${signed(mean)} [${formatPercent(low)}, ${formatPercent(high)}]`,
      );
      return `${label} against ${baseline}: ${shown.join('  ')}`;
    }
    case 'checkpoint':
      return `checkpoint ${event.path}`;
    case 'done':
      return `${event.status} at step ${event.step}`;
  }
}

function signed(share: number): string {
  return `${share >= 0 ? '+' : ''}${formatPercent(share)}`;
}
