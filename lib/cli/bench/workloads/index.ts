import type { Workload } from '../case.js';
import { memory } from './footprint.js';
import { growth } from './growth.js';
import { gemm, peak } from './kernels.js';
import { exclusion } from './ranking.js';
import { decode, prefill } from './sampling.js';
import { grpo, grpoLong, train } from './training.js';

/** By the name that `winnow bench NAME` takes; in the order of `winnow bench`. */
export const workloads = {
  peak,
  gemm,
  prefill,
  decode,
  train,
  grpo,
  'grpo-long': grpoLong,
  exclusion,
  memory,
  growth,
} satisfies Record<string, Workload>;

export type WorkloadName = keyof typeof workloads;
export const workloadNames = Object.keys(workloads) as WorkloadName[];
