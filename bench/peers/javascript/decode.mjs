// node-llama-cpp: steps of decoding for B prompts, one sequence each, sampling included.
import { openLlama, samplingOptions, takeTokens } from './llama.mjs';
import { isGreedy, secondsSince } from './request.mjs';

export async function measureDecode(request) {
  const { prompts, steps, repetitions = 1 } = request;
  const longest = Math.max(...prompts.map((prompt) => prompt.length));
  const { context } = await openLlama(request, { sequences: prompts.length, tokensPerSequence: longest + steps + 2 });
  const sequences = prompts.map(() => context.getSequence());

  /** The prompts and the first token of each are computed before the clock starts; then each step computes one token of each. */
  const decode = async () => {
    await Promise.all(sequences.map((sequence) => sequence.clearHistory()));
    const generators = sequences.map((sequence, row) => sequence.evaluate(prompts[row], samplingOptions(request, row)));
    const first = await takeTokens(generators, 1);
    const started = performance.now();
    const rest = await takeTokens(generators, steps);
    const seconds = secondsSince(started);
    await Promise.all(generators.map((generator) => generator.return()));
    return { seconds, completions: first.map((tokens, row) => [...tokens, ...rest[row]].slice(0, steps)) };
  };

  const trials = [];
  for (let trial = 0; trial < repetitions; trial++) trials.push(await decode());
  const greedy = isGreedy(request);
  return {
    seconds: trials.map(({ seconds }) => seconds),
    tokens: prompts.length * steps,
    sampling: greedy ? 'greedy' : 'temperature',
    ...(greedy && { completions: trials.at(-1).completions }),
  };
}
