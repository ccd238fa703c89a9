/** Learning-rate schedules: pure functions of the step. */

export type ScheduleKind = 'constant' | 'linear' | 'cosine' | 'wsd';

export interface Schedule {
  readonly kind: ScheduleKind;
  /** The rate after warm-up. */
  readonly peak: number;
  /** Steps of linear warm-up from 0; the rate first equals `peak` at step `warmupSteps`. */
  readonly warmupSteps: number;
  /** Steps of the whole stage. */
  readonly steps: number;
  /** The rate at the last step is `peak * floor`; unused by `constant`. */
  readonly floor: number;
  /** The last steps, in which `wsd` falls; default: a tenth of `steps`, rounded up. */
  readonly decaySteps?: number | undefined;
}

/**
 * Rate of the 1-based `step`. Warm-up: peak * step / warmupSteps. Then, with progress p running from 0 to 1 at the last
 * step, linear: peak * (1 - (1 - floor) * p); cosine (Loshchilov & Hutter 2017): peak * (floor + (1 - floor) * (1 + cos(pi p)) / 2).
 * `wsd`, warm-up, stable, decay (Hu et al. 2024, arXiv 2404.06395): peak until the last `decaySteps` steps, then as linear over those.
 */
export function learningRate(schedule: Schedule, step: number): number {
  const { kind, peak, warmupSteps, steps, floor } = schedule;
  if (step < warmupSteps) return (peak * step) / warmupSteps;
  if (kind === 'constant') return peak;
  const begin = kind === 'wsd' ? steps - (schedule.decaySteps ?? Math.ceil(steps / 10)) : warmupSteps;
  const progress = Math.min(1, Math.max(0, (step - begin) / Math.max(1, steps - begin)));
  const remaining = kind === 'cosine' ? (1 + Math.cos(Math.PI * progress)) / 2 : 1 - progress;
  return peak * (floor + (1 - floor) * remaining);
}
