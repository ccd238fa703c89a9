/** The word tokenizer of a model from random weights: which words of the training texts become tokens. */
import { expect, it } from 'vitest';
import { makeProtocol } from '../../lib/protocol/index.js';
import { resolveConfig } from '../../lib/train/config.js';
import { loadTrainingData } from '../../lib/train/data-source.js';
import { describeModel } from '../../lib/train/setup.js';

async function tokenizerWith(minimumWordCount: number | undefined) {
  const config = resolveConfig({
    output: 'unused',
    model: { scratch: { width: 16, layers: 1, heads: 2, minimumWordCount } },
    data: { task: { name: 'synthetic', users: 20, candidates: 4 } },
    stages: [{ kind: 'sft', steps: 1, batch: 1, learningRate: 1e-3 }],
  });
  const data = await loadTrainingData(config.data, config.seed);
  return describeModel(config, undefined, data, makeProtocol(config.protocol)).tokenizer;
}

it('has every word by default, and spells rarer ones in bytes where a count is asked for', async () => {
  const whole = await tokenizerWith(undefined);
  const frequent = await tokenizerWith(20);
  const none = await tokenizerWith(1_000_000);
  expect(whole.vocabularySize).toBeGreaterThan(frequent.vocabularySize);
  expect(frequent.vocabularySize).toBeGreaterThan(none.vocabularySize);
  const text = ' [A] never seen <answer> [B]</answer>';
  for (const tokenizer of [whole, frequent, none]) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  expect(none.encode(' [A]').length).toBe(4);
  expect(whole.encode(' [A]').length).toBe(1);
});
