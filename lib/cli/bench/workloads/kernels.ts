/** The machine's limits by themselves, and the products of the decoder's weights. */
import { gemmWork, type Work } from '../accounting.js';
import type { BenchCase, BenchSettings, Workload } from '../case.js';
import { benchShapes } from '../shapes.js';

const KERNEL_REPEATS = 7;

/** The operations and bytes of one repeat of the native loops: native/addon/benchmark.cc. */
const limitCase = (name: 'peak' | 'stream'): BenchCase => ({
  name,
  phases: {},
  tokens: 0,
  async run({ session, settings: { dtype } }) {
    const result = await session.benchmark({ name, shape: {}, dtype, repeats: KERNEL_REPEATS });
    const { flops, bytes } = result;
    return { seconds: Array.from(result.seconds), details: {}, work: { flops, bytes } };
  },
});

/** The limits, so that their own spread can be seen; they are measured around every trial too. */
export const peak: Workload = () => [limitCase('peak'), limitCase('stream')];

interface Product {
  readonly label: string;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly kernel: 'linear_forward' | 'linear_backward_input' | 'linear_backward_weight';
}

function products({ shape }: BenchSettings): Product[] {
  const { width, feedForward, vocabulary } = benchShapes[shape];
  return [
    ...[1, 8, 16, 64, 256, 1024].flatMap((m) => [
      { kernel: 'linear_forward' as const, label: 'gate', m, n: feedForward, k: width },
      { kernel: 'linear_forward' as const, label: 'down', m, n: width, k: feedForward },
    ]),
    ...[1, 8, 64].map((m) => ({ kernel: 'linear_forward' as const, label: 'head', m, n: vocabulary, k: width })),
    { kernel: 'linear_backward_input', label: 'gate dX', m: 256, n: feedForward, k: width },
    { kernel: 'linear_backward_input', label: 'head dX', m: 64, n: vocabulary, k: width },
    { kernel: 'linear_backward_weight', label: 'gate dW', m: 256, n: feedForward, k: width },
    { kernel: 'linear_backward_weight', label: 'head dW', m: 64, n: vocabulary, k: width },
  ];
}

function productCase({ kernel, label, m, n, k }: Product, { dtype }: BenchSettings): BenchCase {
  const work: Work = gemmWork(m, n, k, dtype);
  const peer = {
    benchmark: 'gemm',
    body: { m, n, k, repetitions: KERNEL_REPEATS },
    warmups: 0,
    scale: 1,
    expected: {},
  };
  return {
    name: `gemm ${label} M=${m}`,
    phases: { product: work },
    tokens: 0,
    async run({ session }) {
      const result = await session.benchmark({ name: kernel, shape: { m, n, k }, dtype, repeats: KERNEL_REPEATS });
      return { seconds: Array.from(result.seconds), details: { m, n, k } };
    },
    ...(kernel === 'linear_forward' ? { peer } : {}),
  };
}

/** Products of the decoder's weights at the row counts of decode, training and prefill; the weights come from memory. */
export const gemm: Workload = (settings) => products(settings).map((product) => productCase(product, settings));
