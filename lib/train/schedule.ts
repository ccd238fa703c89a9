/** Learning-rate schedules: pure functions of the step. */

export type ScheduleKind = 'constant' | 'linear' | 'cosine';

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
}

/**
 * Rate of the 1-based `step`. Warm-up: peak * step / warmupSteps. Then, with progress p running from 0 to 1 at the last
 * step, linear: peak * (1 - (1 - floor) * p); cosine (Loshchilov & Hutter 2017): peak * (floor + (1 - floor) * (1 + cos(pi p)) / 2).
 */
export function learningRate(schedule: Schedule, step: number): number {
  const { kind, peak, warmupSteps, steps, floor } = schedule;
  if (step < warmupSteps) return (peak * step) / warmupSteps;
  if (kind === 'constant') return peak;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, steps - warmupSteps));
  const remaining = kind === 'linear' ? 1 - progress : (1 + Math.cos(Math.PI * progress)) / 2;
  return peak * (floor + (1 - floor) * remaining);
}
