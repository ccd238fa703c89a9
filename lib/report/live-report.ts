/** Keeps report.html of a run up to date while it goes on. */
import type { TrainEvent } from '../train/events.js';
import { writeHtmlReport } from './html.js';
import { type RunData, type RunStatus, readRunData } from './run-data.js';

type Growing<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer Item)[] ? Item[] : T[K] };

export class LiveReport {
  readonly #everySteps: number;
  #folder: string | undefined;
  #data: Growing<RunData> | undefined;

  constructor(everySteps: number) {
    this.#everySteps = everySteps;
  }

  /** Feeds one event; rewrites the page when enough has changed. */
  on(event: TrainEvent): void {
    if (event.type === 'start') {
      this.#folder = event.output;
      // The journals hold what came before, when the run is a resumed one.
      this.#data = readRunData(event.output, 'running') as Growing<RunData>;
      this.#write('running');
      return;
    }
    const data = this.#data;
    if (data === undefined) return;
    if (event.type === 'step') {
      data.steps.push(event.record);
      data.timing.push(event.timing);
      data.samples.push(...event.samples);
      if (event.record.step % this.#everySteps === 0) this.#write('running');
    } else if (event.type === 'evaluation') {
      data.evaluations.push(event.record);
      this.#write('running');
    } else if (event.type === 'comparison') {
      data.comparisons.push(event.record);
      this.#write('running');
    } else if (event.type === 'done') {
      this.#write(event.status);
    }
  }

  /** Marks a run that ended with an error. */
  failed(): void {
    if (this.#data !== undefined) this.#write('failed');
  }

  #write(status: RunStatus): void {
    writeHtmlReport(this.#folder as string, { ...(this.#data as RunData), status });
  }
}
