// node-llama-cpp with a model folder's weights: a context of as many sequences as the work has, on the threads asked for.
import { readFileSync } from 'node:fs';
import { ensureGguf } from './convert.mjs';
import { FORMATS } from './quantize.mjs';
import { isGreedy, NotDone } from './request.mjs';

const PACKAGE = new URL('../.install/node/node_modules/node-llama-cpp/', import.meta.url);

export const llamaVersion = () => JSON.parse(readFileSync(new URL('package.json', PACKAGE), 'utf8')).version;

const BATCH_TOKENS = 512;

/** `tokensPerSequence`: room for the longest prompt and what is decoded after it. */
export async function openLlama(request, { sequences, tokensPerSequence }) {
  if (!FORMATS[request.dtype]) throw new NotDone(`dtype ${request.dtype}: node-llama-cpp runs ${Object.keys(FORMATS)}`);
  const modelPath = ensureGguf(request.model, request.dtype);
  const { getLlama } = await import(new URL('dist/index.js', PACKAGE).href);
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    maxThreads: request.threads,
    logLevel: 'error',
  });
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({
    sequences,
    contextSize: tokensPerSequence,
    batchSize: BATCH_TOKENS,
    threads: { ideal: request.threads, min: request.threads },
  });
  return { llama, model, context };
}

/**
 * Options that sample from the whole vocabulary at temperature 1. `null` takes the top-k, top-p and min-p samplers out of
 * the chain; 0 and 1 would leave them in, and with them a sort of the vocabulary for every token.
 */
export function samplingOptions(request, row) {
  if (isGreedy(request)) return { temperature: 0, yieldEogToken: true };
  return { temperature: 1, topK: null, topP: null, minP: null, seed: (request.seed ?? 0) + row, yieldEogToken: true };
}

/** Takes `count` tokens of each generator; all generators advance together, so that their tokens go in one batch. */
export function takeTokens(generators, count) {
  const takeOne = async (generator) => {
    const tokens = [];
    for (let i = 0; i < count; i++) {
      const { value, done } = await generator.next();
      if (done) throw new Error(`generation ended after ${i} of ${count} tokens`);
      tokens.push(value);
    }
    return tokens;
  };
  return Promise.all(generators.map(takeOne));
}
