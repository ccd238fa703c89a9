/** Mean hidden states against transformers' last_hidden_state; scripts/make-fixtures.py made the goldens. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openSession } from '../../lib/native/index.js';
import { asTokens, fixtureModels, fixtureNames, openModel, readGolden, relativeDistance } from './support.js';

/** Of a vector's error over the vector, in f32. */
const kTolerance = 1e-5;

const truthOf = (name: string): Float32Array[] =>
  (
    JSON.parse(readFileSync(join(fixtureModels, name, 'hidden.json'), 'utf8')) as { readonly mean_f64: number[][] }
  ).mean_f64.map((row) => Float32Array.from(row));

describe.each(['cpu', 'reference'] as const)('embeddings on %s', (device) => {
  const [one, two] = [1, 2].map((threads) => openSession({ device, threads }));
  afterAll(() => Promise.all([one?.close(), two?.close()]));

  it.each(fixtureNames)('%s: are the mean of the last hidden states', async (name) => {
    const sequences = asTokens(readGolden(name).sequences);
    const model = await openModel(one as never, join(fixtureModels, name), 'f32');
    const found = await model.embed({ sequences });
    const truth = truthOf(name);
    expect(found).toHaveLength(truth.length);
    for (const [index, vector] of found.entries())
      expect(relativeDistance(vector, truth[index] as Float32Array)).toBeLessThan(kTolerance);
    await model.dispose();
  });

  it('depend on a sequence alone, bit for bit, not on its batch or on threads', async () => {
    const folder = join(fixtureModels, 'qwen3');
    const sequences = asTokens(readGolden('qwen3').sequences);
    const [model, other] = await Promise.all([one, two].map((session) => openModel(session as never, folder, 'bf16')));
    const together = await model?.embed({ sequences });
    expect(await other?.embed({ sequences })).toEqual(together);
    expect(await model?.embed({ sequences, maxBatchTokens: 5 })).toEqual(together);
    const reversed = await other?.embed({ sequences: sequences.toReversed() });
    expect(reversed?.toReversed()).toEqual(together);
    for (const [index, sequence] of sequences.entries())
      expect(await model?.embed({ sequences: [sequence] })).toEqual([together?.[index]]);
  });
});

describe('what cannot be embedded', async () => {
  const session = openSession({ device: 'cpu', threads: 1 });
  afterAll(() => session.close());
  const model = await openModel(session, join(fixtureModels, 'llama-linear'), 'f32');

  it('is refused by name', async () => {
    const refusal = (sequences: Int32Array[], options = {}) => model.embed({ sequences, ...options });
    await expect(refusal([Int32Array.of(1), new Int32Array(0)])).rejects.toMatchObject({ code: 'ERR_SHAPE' });
    await expect(refusal([Int32Array.of(1 << 20)])).rejects.toMatchObject({ code: 'ERR_TOKEN_RANGE' });
    const long = new Int32Array(model.config.maxPositions + 1);
    await expect(refusal([long])).rejects.toMatchObject({ code: 'ERR_CONTEXT_LENGTH' });
    await expect(refusal([Int32Array.of(1)], { maxBatchTokens: 0 })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
    await expect(refusal([Int32Array.of(1)], { mean: true })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
    expect(await refusal([])).toEqual([]);
  });

  it('no tokens, no direction: a text without tokens resembles nothing', async () => {
    const { LanguageModel } = await import('../../lib/protocol/index.js');
    const tokenizer = { vocabularySize: 2, encode: (text: string) => new Int32Array(text.length).fill(1) };
    const language = new LanguageModel(model, tokenizer as never);
    const [empty, full] = await language.embed(['', 'aa']);
    expect(empty).toEqual(new Float32Array(model.config.width));
    expect(full).toEqual((await model.embed({ sequences: [Int32Array.of(1, 1)] }))[0]);
  });
});
