/** The curves of a run as TensorBoard event files: `tensorboard/` in the run folder, one file for each process that worked on it. */
import { closeSync, mkdirSync, openSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { EvaluationRecord, TimingRecord, TrainEvent } from '../train/events.js';
import { writing } from '../train/output.js';
import { encodeEvent, frameRecord, type TensorBoardEvent } from './tf-events.js';

/**
 * Tags are the names of docs/metrics.md: metrics as they are, seconds of a phase as `timing_s/PHASE`, measures of the model as
 * `eval/MEASURE`. Every event is written at once, so that a reader sees it, and a killed process loses none.
 */
export class TensorBoardWriter {
  readonly #now: () => number;
  #path = '';
  #descriptor: number | undefined;

  /** @param now milliseconds since 1970 */
  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  on(event: TrainEvent): void {
    if (event.type === 'start') {
      this.#open(join(event.output, 'tensorboard'));
      this.#write({ wallTime: this.#now() / 1000, fileVersion: 'brain.Event:2' });
      // What was written for these steps before, by a process that died after its last checkpoint, is void.
      this.#write({ wallTime: this.#now() / 1000, step: event.step + 1, sessionStart: true });
    } else if (event.type === 'step') {
      const { record, timing } = event;
      this.#scalars(record.step, { ...record.metrics, ...timingScalars(timing) });
    } else if (event.type === 'evaluation' && event.record.kind !== 'baseline') {
      this.#scalars(event.record.step, evaluationScalars(event.record));
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  /** Readers take the files in the order of their names, and the number in the name for a time in seconds. */
  #open(folder: string): void {
    writing(folder, () => {
      mkdirSync(folder, { recursive: true });
      const taken = readdirSync(folder).map((name) =>
        Number(name.match(/^events\.out\.tfevents\.(\d+)\.winnow$/)?.[1] ?? 0),
      );
      const number = Math.max(Math.floor(this.#now() / 1000), ...taken.map((one) => one + 1));
      this.#path = join(folder, `events.out.tfevents.${String(number).padStart(10, '0')}.winnow`);
      this.#descriptor = openSync(this.#path, 'wx');
    });
  }

  #scalars(step: number, values: Readonly<Record<string, number | null>>): void {
    const finite = Object.entries(values).filter((entry): entry is [string, number] => Number.isFinite(entry[1]));
    this.#write({ wallTime: this.#now() / 1000, step, scalars: Object.fromEntries(finite) });
  }

  #write(event: TensorBoardEvent): void {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) return;
    const record = frameRecord(encodeEvent(event));
    writing(this.#path, () => {
      for (let done = 0; done < record.length; ) done += writeSync(descriptor, record, done);
    });
  }
}

function timingScalars({ seconds, rates }: TimingRecord): Record<string, number> {
  const phases = Object.entries(seconds).map(([phase, value]) => [`timing_s/${phase}`, value] as const);
  return { ...Object.fromEntries(phases), ...rates };
}

function evaluationScalars({ measures, tasks }: EvaluationRecord): Record<string, number> {
  const all = Object.entries(measures).map(([name, { mean }]) => [`eval/${name}`, mean] as const);
  const byTask = Object.entries(tasks ?? {}).flatMap(([task, { means }]) =>
    Object.entries(means).map(([name, mean]) => [`eval/${task}/${name}`, mean] as const),
  );
  return Object.fromEntries([...all, ...byTask]);
}
