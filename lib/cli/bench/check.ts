/** What must agree before anything is timed: our fast products with the reference backend, and our model with a peer's. */
import { type DTypeName, type Model, openSession, type Session } from '../../native/index.js';
import { type BenchSettings, tokenLists } from './case.js';
import { benchShapes } from './shapes.js';

/** Asked of our own process; the same tokens go to the peer. */
export type CheckRequest =
  | { readonly kind: 'products' }
  | { readonly kind: 'logprobs'; readonly tokens: readonly number[]; readonly checkTokens: readonly number[] }
  | { readonly kind: 'loss'; readonly sequences: readonly (readonly number[])[] };

export interface CheckResult {
  /** What was compared, or is to be compared with the peer's. */
  readonly values: readonly number[];
  /** For `products`: of each value, its difference from the reference over the spread of such a sum. */
  readonly errors?: readonly number[];
}

/** Relative errors of products that rounding explains: f32 sums, and operands in bf16. */
export const PRODUCT_TOLERANCE: Readonly<Record<DTypeName, number>> = { f32: 1e-5, bf16: 1e-2 };

/**
 * Log-probabilities and losses, in nats, of two systems on the same weights. In f32 a peer may still keep its keys in f16; in bf16
 * activations are rounded at different places; a quantised peer has other weights. A model that is wrong is off by about its spread
 * of logits, 0.6 on the shapes of Qwen2.5-0.5B, so that of q4_0, which is off by as much, this says only that it is no other work.
 */
export function logprobTolerance(dtype: string): number {
  const tolerances: Readonly<Record<string, number>> = { f32: 1e-2, bf16: 0.1, q8_0: 0.3, q4_0: 1 };
  return tolerances[dtype] ?? 0.1;
}

const PRODUCTS = [
  { m: 1, n: 33, k: 896 },
  { m: 9, n: 896, k: 131 },
  { m: 64, n: 257, k: 512 },
];
const KERNELS = ['linear_forward', 'linear_backward_input', 'linear_backward_weight'] as const;

/** One entry of each product on this session and on the reference backend, from the same operands. */
async function checkProducts(session: Session, dtype: DTypeName): Promise<CheckResult> {
  const reference = openSession({ device: 'reference', threads: 1 });
  try {
    const values: number[] = [];
    const errors: number[] = [];
    for (const shape of PRODUCTS) {
      for (const name of KERNELS) {
        const request = { name, shape, dtype, repeats: 1 };
        const { checksum } = await session.benchmark(request);
        const truth = (await reference.benchmark(request)).checksum;
        // Operands are uniform in [-1, 1): a product of two has a variance of 1/9.
        const terms = { linear_forward: shape.k, linear_backward_input: shape.n, linear_backward_weight: shape.m }[
          name
        ];
        values.push(checksum);
        errors.push(Math.abs(checksum - truth) / (Math.sqrt(terms) / 3));
      }
    }
    return { values, errors };
  } finally {
    await reference.close();
  }
}

/** log p of each of `checkTokens` as the next token after `tokens`. */
async function nextLogprobs(
  model: Model,
  tokens: readonly number[],
  checkTokens: readonly number[],
): Promise<number[]> {
  const scored = await model.score({ sequences: checkTokens.map((token) => Int32Array.from([...tokens, token])) });
  return scored.map((logprobs) => logprobs.at(-1) ?? Number.NaN);
}

/** Mean next-token cross-entropy, by the pass that training takes. */
async function meanLoss(model: Model, given: readonly (readonly number[])[]): Promise<number> {
  await model.enableTraining();
  const sequences = given.map((tokens) => Int32Array.from(tokens));
  const entries = sequences.reduce((sum, { length }) => sum + length - 1, 0);
  const weight = sequences.map(({ length }) => Float32Array.from({ length }, (_, i) => (i === 0 ? 0 : 1 / entries)));
  const { loss } = await model.accumulateGradients({ sequences, kind: 'supervised', weight });
  return loss;
}

export async function runCheck(
  check: CheckRequest,
  session: Session,
  settings: BenchSettings,
  loadModel: () => Promise<Model>,
): Promise<CheckResult> {
  if (check.kind === 'products') return checkProducts(session, settings.dtype);
  const model = await loadModel();
  if (check.kind === 'loss') return { values: [await meanLoss(model, check.sequences)] };
  return { values: await nextLogprobs(model, check.tokens, check.checkTokens) };
}

/** A question that our process and a peer are both asked, and how its answer is read. */
export interface SharedQuestion {
  /** Undefined: what is read is an error, and agrees when it is near 0. */
  readonly ours: CheckRequest | undefined;
  readonly benchmark: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** The reply's numbers; anything else does not agree. */
  readonly read: (reply: Readonly<Record<string, unknown>>) => unknown[];
  readonly tolerance: number;
}

const PROMPT_TOKENS = 64;

/** What is asked of a peer before it is timed on `benchmark`, in its dtype. */
export function questionFor(benchmark: string, { shape }: BenchSettings, peerDtype: string): SharedQuestion {
  const { vocabulary } = benchShapes[shape];
  const lists = (count: number, length: number): number[][] =>
    tokenLists(count, length, vocabulary, 100).map((tokens) => Array.from(tokens));
  const tolerance = logprobTolerance(peerDtype);
  const asList = (value: unknown): unknown[] => (Array.isArray(value) ? value : [value]);
  if (benchmark === 'gemm') {
    const body = { m: 8, n: 256, k: 896, repetitions: 1 };
    const least = peerDtype === 'f32' ? PRODUCT_TOLERANCE.f32 : PRODUCT_TOLERANCE.bf16;
    return { ours: undefined, benchmark, body, read: (reply) => asList(reply.checkRelativeError), tolerance: least };
  }
  if (benchmark === 'train' || benchmark === 'grpo') {
    const sequences = lists(2, 16);
    const body = { sequences, learningRate: 1e-6, steps: 1 };
    return { ours: { kind: 'loss', sequences }, benchmark: 'train', body, read: ({ loss }) => asList(loss), tolerance };
  }
  const [tokens = []] = lists(1, PROMPT_TOKENS);
  const checkTokens = Array.from({ length: 8 }, (_, i) => ((i + 1) * 15_485_863) % vocabulary);
  return {
    ours: { kind: 'logprobs', tokens, checkTokens },
    benchmark: 'prefill',
    body: { tokens, checkTokens, warmups: 0, repetitions: 1 },
    read: ({ checkLogprobs }) => asList(checkLogprobs),
    tolerance,
  };
}

/** Undefined where all agree within the tolerance, and otherwise what does not. */
export function disagreement(
  ours: readonly number[],
  theirs: readonly unknown[],
  tolerance: number,
): string | undefined {
  if (theirs.length !== ours.length) return `${theirs.length} numbers, expected ${ours.length}`;
  for (const [index, expected] of ours.entries()) {
    const received = theirs[index];
    if (typeof received !== 'number' || typeof expected !== 'number' || !(Math.abs(received - expected) <= tolerance))
      return `entry ${index} is ${JSON.stringify(received)}, expected ${expected} within ${tolerance}`;
  }
  return undefined;
}
