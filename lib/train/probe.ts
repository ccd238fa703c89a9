/** How fast this machine multiplies matrices of about the shapes of a model, measured in less than a second. */
import { type NativeModelConfig, openSession } from '../native/index.js';
import type { ResolvedConfig } from './config.js';

const kTokens = 256;
const kSeconds = 0.3;

/** FLOP/s of a forward pass of two layers with random weights, at most 1024 wide, on the device of `config`. */
export async function probeSpeed(
  { device, threads, model: { dtype } }: Pick<ResolvedConfig, 'device' | 'threads' | 'model'>,
  native: NativeModelConfig,
  signal?: AbortSignal,
): Promise<number> {
  const probe = shrunken(native);
  const session = openSession({ device, threads });
  try {
    const options = signal === undefined ? {} : { signal };
    const source = { kind: 'random', seed: 1, standardDeviation: 0.02 } as const;
    const model = await session.createModel({ config: probe, dtype, source }, options);
    const sequences = [Int32Array.from({ length: kTokens }, (_, index) => index % probe.vocabulary)];
    await model.score({ sequences, maxBatchTokens: kTokens }, options);
    let best = Number.POSITIVE_INFINITY;
    for (const started = performance.now(); performance.now() - started < 1000 * kSeconds; ) {
      const from = performance.now();
      await model.score({ sequences, maxBatchTokens: kTokens }, options);
      best = Math.min(best, (performance.now() - from) / 1000);
    }
    return (2 * kTokens * productWeights(probe)) / best;
  } finally {
    await session.close();
  }
}

function shrunken(native: NativeModelConfig): NativeModelConfig {
  const heads = Math.max(1, Math.min(native.heads, Math.floor(1024 / native.headDim)));
  const width = Math.min(native.width, 1024);
  const feedForward = Math.ceil((native.feedForward * width) / native.width / 8) * 8;
  return { ...native, layers: 2, vocabulary: 256, heads, kvHeads: heads, width, feedForward, maxPositions: kTokens };
}

/** Weights that every token is multiplied with. */
function productWeights({
  width,
  heads,
  kvHeads,
  headDim,
  feedForward,
  layers,
  vocabulary,
}: NativeModelConfig): number {
  return layers * (2 * width * headDim * (heads + kvHeads) + 3 * width * feedForward) + vocabulary * width;
}
