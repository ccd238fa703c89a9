// node-llama-cpp: a prompt of P tokens and one greedy token after it, which is the least that makes it compute the logits.
import { openLlama } from './llama.mjs';
import { secondsSince } from './request.mjs';

const NEUTRAL = { temperature: 1, topK: null, topP: null, minP: null, seed: 0 };

export async function measurePrefill(request) {
  const { tokens, checkTokens, warmups = 1, repetitions = 1 } = request;
  const { context } = await openLlama(request, { sequences: 1, tokensPerSequence: tokens.length + 2 });
  const sequence = context.getSequence();
  const evaluate = async (generateNext) => {
    await sequence.clearHistory();
    const results = await sequence.controlledEvaluate([...tokens.slice(0, -1), [tokens.at(-1), { generateNext }]]);
    return results[tokens.length - 1].next;
  };
  const seconds = [];
  for (let trial = -warmups; trial < repetitions; trial++) {
    const started = performance.now();
    await evaluate({ token: true, options: { temperature: 0 } });
    if (trial >= 0) seconds.push(secondsSince(started));
  }
  const { probabilities } = await evaluate({ token: true, probabilities: true, options: NEUTRAL });
  return { seconds, checkLogprobs: checkTokens.map((token) => Math.log(probabilities.get(token))) };
}
