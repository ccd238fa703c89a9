import type { NativeModelConfig } from '../../native/index.js';

const qwen2Family = {
  normEpsilon: 1e-6,
  qkvBias: true,
  outputBias: false,
  qkNorm: false,
  tiedHead: true,
  ropeTheta: 1e6,
  ropeScaling: 'none',
  ropeFactor: 1,
  ropeLowFrequency: 1,
  ropeHighFrequency: 4,
  ropeOriginalPositions: 0,
} as const;

/** Decoders that the benchmarks run, with random weights: speed does not depend on the values. */
export const benchShapes = {
  /** config.json of Qwen2.5-0.5B; the context is cut to what the benchmarks need. */
  'qwen2.5-0.5b': {
    vocabulary: 151_936,
    width: 896,
    feedForward: 4864,
    layers: 24,
    heads: 14,
    kvHeads: 2,
    headDim: 64,
    maxPositions: 4096,
    ...qwen2Family,
  },
  /** Small enough to vary sizes over two decades in minutes. */
  small: {
    vocabulary: 16_384,
    width: 256,
    feedForward: 704,
    layers: 4,
    heads: 4,
    kvHeads: 2,
    headDim: 64,
    maxPositions: 8192,
    ...qwen2Family,
  },
  /** Seconds in all, for tests of the harness. */
  tiny: {
    vocabulary: 1000,
    width: 64,
    feedForward: 176,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    maxPositions: 2048,
    ...qwen2Family,
  },
} as const satisfies Record<string, NativeModelConfig>;

export type BenchShape = keyof typeof benchShapes;
