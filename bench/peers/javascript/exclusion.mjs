// node-llama-cpp: the loop of an exclusion ranking. A query is a sequence; of its next prompt only what follows the start
// that it shares with the last one is computed. Context shift is off: it would reuse keys that had seen the removed candidate.
import { openLlama, samplingOptions, takeTokens } from './llama.mjs';
import { isGreedy, secondsSince, sharedLength } from './request.mjs';

export async function measureExclusion(request) {
  const { queries, answerTokens } = request;
  const rankings = queries.map(startRanking);
  const longest = Math.max(...rankings.map(({ prompt }) => prompt().length));
  const { context } = await openLlama(request, {
    sequences: queries.length,
    tokensPerSequence: longest + answerTokens + 2,
  });
  const sequences = queries.map(() => context.getSequence());
  const answers = [];
  let promptTokens = 0;
  let computedTokens = 0;
  const started = performance.now();
  while (rankings.some(({ candidates }) => candidates.length > 1)) {
    const active = [...rankings.keys()].filter((row) => rankings[row].candidates.length > 1);
    const generators = await Promise.all(
      active.map(async (row) => {
        const prompt = rankings[row].prompt();
        const sequence = sequences[row];
        const kept = Math.min(sharedLength(sequence.contextTokens, prompt), prompt.length - 1);
        promptTokens += prompt.length;
        computedTokens += prompt.length - kept;
        await sequence.adaptStateToTokens(prompt.slice(0, kept), false);
        return sequence.evaluate(prompt.slice(kept), samplingOptions(request, row));
      }),
    );
    answers.push(...(await takeTokens(generators, answerTokens)));
    await Promise.all(generators.map((generator) => generator.return()));
    for (const row of active) rankings[row].exclude();
  }
  const seconds = [secondsSince(started)];
  const greedy = isGreedy(request);
  return {
    seconds,
    promptTokens,
    computedTokens,
    answers: answers.length,
    sampling: greedy ? 'greedy' : 'temperature',
    ...(greedy && { answerTokens: answers }),
  };
}

/** A ranking in progress. The first candidate goes whatever the answer says, so that every engine does the same work. */
function startRanking({ prefix, candidates, suffix }) {
  const remaining = [...candidates];
  return {
    candidates: remaining,
    prompt: () => [...prefix, ...remaining.flat(), ...suffix],
    exclude: () => remaining.shift(),
  };
}
