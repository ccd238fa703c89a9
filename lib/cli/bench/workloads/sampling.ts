/** Prompts, and decode steps after them. */
import { decodeWork, prefillWork } from '../accounting.js';
import { type BenchCase, type BenchSettings, timed, tokenLists, type Workload } from '../case.js';
import { benchShapes } from '../shapes.js';

const PREFILL_TOKENS = 512;
const PREFILL_REPEATS = 3;

/** Token ids whose log-probabilities after a prompt are compared with a peer's. */
export function checkTokens(vocabulary: number): number[] {
  return Array.from({ length: 8 }, (_, i) => ((i + 1) * 15_485_863) % vocabulary);
}

/** One prompt, and the first token after it. */
export const prefill: Workload = ({ shape, dtype }) => {
  const config = benchShapes[shape];
  const [tokens] = tokenLists(1, PREFILL_TOKENS, config.vocabulary) as [Int32Array];
  const body = { tokens: Array.from(tokens), checkTokens: checkTokens(config.vocabulary) };
  const only: BenchCase = {
    name: `prefill ${PREFILL_TOKENS}`,
    phases: { prefill: prefillWork(config, dtype, PREFILL_TOKENS) },
    tokens: PREFILL_TOKENS,
    async run({ loadModel }) {
      const model = await loadModel();
      const request = { maxTokens: 1, ignoreStopTokens: true, prompts: [tokens] };
      await model.generate(request);
      const seconds: number[] = [];
      for (let repeat = 0; repeat < PREFILL_REPEATS; repeat++)
        seconds.push((await timed(() => model.generate(request))).seconds);
      return { seconds, details: {} };
    },
    peer: {
      benchmark: 'prefill',
      body: { ...body, warmups: 1, repetitions: PREFILL_REPEATS },
      warmups: 0,
      scale: 1,
      expected: {},
    },
  };
  return [only];
};

const DECODE_CONTEXT = 64;
const DECODE_STEPS = 32;

interface Rows {
  readonly name: string;
  readonly rows: number;
  /** Whether the rows are samples of one prompt. */
  readonly oneGroup: boolean;
}

function decodeCase({ name, rows, oneGroup }: Rows, { shape, dtype }: BenchSettings): BenchCase {
  const config = benchShapes[shape];
  const prompts = tokenLists(oneGroup ? 1 : rows, DECODE_CONTEXT, config.vocabulary);
  const given = Array.from({ length: rows }, (_, row) => Array.from(prompts[oneGroup ? 0 : row] as Int32Array));
  const work = { rows, context: DECODE_CONTEXT, shared: oneGroup ? DECODE_CONTEXT : 0, steps: DECODE_STEPS };
  return {
    name,
    phases: { decode: decodeWork(config, dtype, work) },
    tokens: rows * DECODE_STEPS,
    async run({ loadModel }) {
      const model = await loadModel();
      const request = { prompts, completionsPerPrompt: oneGroup ? rows : 1, ignoreStopTokens: true };
      await model.generate({ ...request, maxTokens: 3 });
      // The first token belongs to the prompt.
      const { statistics } = await model.generate({ ...request, maxTokens: DECODE_STEPS + 1 });
      return { seconds: [statistics.decodeSeconds], details: { rows } };
    },
    peer: {
      benchmark: 'decode',
      body: { prompts: given, steps: DECODE_STEPS, seed: 1, temperature: 1 },
      warmups: 0,
      scale: 1,
      expected: { tokens: rows * DECODE_STEPS },
    },
  };
}

/** Decode steps, sampling at temperature 1 over the whole vocabulary included: alone, as one group, and as prompts that share nothing. */
export const decode: Workload = (settings) =>
  [
    { name: 'decode B=1', rows: 1, oneGroup: false },
    { name: 'decode B=8 (one group)', rows: 8, oneGroup: true },
    { name: 'decode B=16', rows: 16, oneGroup: false },
  ].map((rows) => decodeCase(rows, settings));
