import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelHandle, NativeGenerateRequest, NativeLossRequest } from '../../lib/native/addon-types.js';
import { control, createModel, rawAddon, rejection, tinyConfig } from './support.js';

const addon = rawAddon();
const session = addon.openSession({ device: 'cpu', threads: 1 });
let model: ModelHandle;
beforeAll(async () => {
  model = await createModel(addon, session);
});
afterAll(() => addon.closeSession(session));

const sequences = { tokens: Int32Array.of(1, 2, 3, 4), offsets: Float64Array.of(0, 2, 4) };
const score = { ...sequences, temperature: 1, maxBatchTokens: 64, adapter: true };
const generate: NativeGenerateRequest = {
  ...sequences,
  promptKeys: Float64Array.of(0, 1),
  maxTokens: 2,
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  seed: 0,
  completionsPerPrompt: 1,
  ignoreStopTokens: false,
  stopTokens: new Int32Array(0),
  stopStrings: [],
  tokenBytes: new Uint8Array(0),
  tokenByteOffsets: new Float64Array(0),
  maxBatch: 8,
  maxKvBytes: 2 ** 26,
  maxPrefixBytes: 0,
  maxActivationBytes: 0,
  prefillTokens: 64,
};
const loss: NativeLossRequest = {
  ...sequences,
  kind: 'policy_gradient',
  weight: Float32Array.of(0, 1, 0, 1),
  advantage: new Float32Array(4),
  clipLow: 0.2,
  clipHigh: 0.2,
  klCoefficient: 0,
  entropyCoefficient: 0,
  temperature: 1,
  maxBatchTokens: 64,
  headChunkRows: 16,
  recompute: 'none' as const,
  dropoutSeed: 0,
};

async function refused(call: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await rejection(call);
  expect(error).toMatchObject({ code: 'ERR_ARGUMENT' });
  expect(error.message).toMatch(message);
}

describe('arguments of score', () => {
  const cases: [string, object, RegExp][] = [
    ['tokens of another kind', { tokens: Float32Array.of(1, 2, 3, 4) }, /score\.tokens/],
    ['tokens as a plain array', { tokens: [1, 2, 3, 4] }, /score\.tokens/],
    ['no offsets', { offsets: new Float64Array(0) }, /score\.offsets/],
    ['offsets that do not start at 0', { offsets: Float64Array.of(1, 4) }, /score\.offsets/],
    ['offsets that fall', { offsets: Float64Array.of(0, 3, 2, 4) }, /score\.offsets\[2\]/],
    ['offsets past the end', { offsets: Float64Array.of(0, 5) }, /score\.offsets\[1\]/],
    ['offsets that end early', { offsets: Float64Array.of(0, 2) }, /score\.offsets/],
    ['offsets with fractions', { offsets: Float64Array.of(0, 1.5, 4) }, /score\.offsets\[1\]/],
    ['offsets that are no numbers', { offsets: Float64Array.of(0, Number.NaN, 4) }, /score\.offsets\[1\]/],
    ['temperature 0', { temperature: 0 }, /score\.temperature/],
    ['temperature NaN', { temperature: Number.NaN }, /score\.temperature/],
    ['temperature as text', { temperature: '1' }, /score\.temperature/],
    ['no batch', { maxBatchTokens: 0 }, /score\.maxBatchTokens/],
    ['half a batch', { maxBatchTokens: 1.5 }, /score\.maxBatchTokens/],
    ['an endless batch', { maxBatchTokens: Number.POSITIVE_INFINITY }, /score\.maxBatchTokens/],
    ['an adapter as a number', { adapter: 1 }, /score\.adapter/],
  ];
  it.each(cases)('refuses %s', async (_, change, message) => {
    await refused(addon.score(model, { ...score, ...change } as typeof score, control()), message);
  });

  it('refuses a missing request and a bad control', async () => {
    await refused(addon.score(model, undefined as never, control()), /score does not fit/);
    await refused(addon.score(model, score, undefined as never), /control/);
    await refused(addon.score(model, score, { id: -1 }), /control\.id/);
    await refused(addon.score(model, score, { id: 1, onProgress: 5 as never }), /control\.onProgress/);
  });

  it('copies its arrays in: changing or detaching them afterwards changes nothing', async () => {
    const expected = await addon.score(model, score, control());
    const tokens = Int32Array.from(score.tokens);
    const call = addon.score(model, { ...score, tokens }, control());
    tokens.fill(9);
    structuredClone(tokens, { transfer: [tokens.buffer] });
    expect(await call).toEqual(expected);
    await refused(addon.score(model, { ...score, tokens }, control()), /score\.offsets/);
  });
});

describe('arguments of values, embed and saveValueHead', () => {
  it('are refused by name, and a value head where there is none', async () => {
    const batch = { ...sequences, maxBatchTokens: 64 };
    await refused(addon.values(model, { ...batch, maxBatchTokens: 0 }, control()), /values\.maxBatchTokens/);
    await refused(addon.embed(model, { ...batch, maxBatchTokens: 0.5 }, control()), /embed\.maxBatchTokens/);
    await refused(addon.embed(model, { ...batch, offsets: new Float64Array(0) }, control()), /embed\.offsets/);
    await refused(addon.saveValueHead(model, { path: 5 as never }, control()), /saveValueHead\.path/);
    for (const call of [addon.values(model, batch, control()), addon.saveValueHead(model, { path: 'x' }, control())])
      expect(await rejection(call)).toMatchObject({ code: 'ERR_VALUE_HEAD' });
    expect((await addon.embed(model, batch, control())).length).toBe(2 * tinyConfig.width);
  });
});

describe('arguments of addAdapter', () => {
  const config = { rank: 2, alpha: 4, dropout: 0, rsLora: false, targets: ['q_proj'] };
  const source = { kind: 'random', seed: 1 };
  const cases: [string, object, RegExp][] = [
    ['no config', { config: undefined }, /addAdapter\.config/],
    ['rank 0', { config: { ...config, rank: 0 } }, /addAdapter\.config\.rank/],
    ['half a rank', { config: { ...config, rank: 1.5 } }, /addAdapter\.config\.rank/],
    ['a negative alpha', { config: { ...config, alpha: -1 } }, /addAdapter\.config\.alpha/],
    ['dropout of everything', { config: { ...config, dropout: 1 } }, /addAdapter\.config\.dropout/],
    ['rsLora as text', { config: { ...config, rsLora: 'yes' } }, /addAdapter\.config\.rsLora/],
    ['targets as text', { config: { ...config, targets: 'q_proj' } }, /addAdapter\.config\.targets/],
    ['a target that is no text', { config: { ...config, targets: [1] } }, /addAdapter\.config\.targets\[0\]/],
    ['no source', { source: undefined }, /addAdapter\.source/],
    ['another source', { source: { kind: 'cloud' } }, /addAdapter\.source\.kind/],
    ['a file without a path', { source: { kind: 'file' } }, /addAdapter\.source\.path/],
    ['a seed that is not exact', { source: { kind: 'random', seed: 0.5 } }, /addAdapter\.source\.seed/],
  ];
  it.each(cases)('refuses %s', async (_, change, message) => {
    await refused(addon.addAdapter(model, { config, source, ...change } as never, control()), message);
  });
});

describe('arguments of generate', () => {
  const cases: [string, object, RegExp][] = [
    ['keys that do not match the prompts', { promptKeys: Float64Array.of(0) }, /generate\.promptKeys/],
    ['negative keys', { promptKeys: Float64Array.of(0, -1) }, /generate\.promptKeys\[1\]/],
    ['topP above 1', { topP: 1.5 }, /generate\.topP/],
    ['a negative topK', { topK: -1 }, /generate\.topK/],
    ['no completions', { completionsPerPrompt: 0 }, /generate\.completionsPerPrompt/],
    ['a seed that is not exact', { seed: 2 ** 53 }, /generate\.seed/],
    ['stop strings without token bytes', { stopStrings: ['x'] }, /generate\.tokenByteOffsets/],
    ['stop strings of another kind', { stopStrings: [1] }, /generate\.stopStrings\[0\]/],
    ['token bytes that end too early', { tokenByteOffsets: Float64Array.of(0, 3) }, /generate\.tokenByteOffsets\[1\]/],
    ['a flag as a number', { ignoreStopTokens: 0 }, /generate\.ignoreStopTokens/],
  ];
  it.each(cases)('refuses %s', async (_, change, message) => {
    await refused(addon.generate(model, { ...generate, ...change }, control()), message);
  });
});

describe('arguments of accumulateGradients', () => {
  const cases: [string, object, RegExp][] = [
    ['a weight too short', { weight: new Float32Array(3) }, /accumulateGradients\.weight/],
    ['no weight', { weight: undefined }, /accumulateGradients\.weight/],
    ['no advantage', { advantage: undefined }, /accumulateGradients\.advantage/],
    ['a KL term without a reference', { klCoefficient: 0.1 }, /accumulateGradients\.referenceLogprob/],
    ['slopes of values too short', { valueGradient: new Float32Array(3) }, /accumulateGradients\.valueGradient/],
    ['a loss of values without slopes', { kind: 'value', weight: undefined }, /accumulateGradients\.valueGradient/],
    ['an unknown kind', { kind: 'other' }, /accumulateGradients\.kind/],
    ['a negative clip', { clipLow: -0.1 }, /accumulateGradients\.clipLow/],
  ];
  it.each(cases)('refuses %s', async (_, change, message) => {
    await refused(addon.accumulateGradients(model, { ...loss, ...change } as NativeLossRequest, control()), message);
  });
});

describe('arguments of createModel and openSession', () => {
  const source = { kind: 'random', seed: 1, standardDeviation: 0.02 } as const;
  it('names the field of a configuration that does not fit', async () => {
    const bad = { config: { ...tinyConfig, layers: 0 }, dtype: 'f32', source } as const;
    await refused(addon.createModel(session, bad, control()), /createModel\.config\.layers/);
    const odd = { config: { ...tinyConfig, headDim: 12 }, dtype: 'f32', source } as const;
    expect((await rejection(addon.createModel(session, odd, control()))).code).toBe('ERR_MODEL_CONFIG');
  });

  it('refuses files that are not there and formats it does not know', async () => {
    const absent = { kind: 'files' as const, paths: ['/absent'] };
    const files = { config: tinyConfig, dtype: 'f32' as const, source: absent };
    expect((await rejection(addon.createModel(session, files, control()))).code).toBe('ERR_FILE_OPEN');
    const none = { ...files, source: { ...absent, paths: [] } };
    await refused(addon.createModel(session, none, control()), /createModel\.source\.paths/);
    const half = { config: tinyConfig, dtype: 'f16' as 'f32', source };
    await refused(addon.createModel(session, half, control()), /createModel\.dtype/);
  });

  it.each([
    { width: 8192, feedForward: 2 ** 17, layers: 200 },
    { vocabulary: 2 ** 24, width: 2 ** 17 },
  ])('refuses what cannot fit in memory with the plan, before it allocates: %o', async (change) => {
    const started = performance.now();
    const request = { config: { ...tinyConfig, ...change }, dtype: 'f32', source } as const;
    const error = await rejection(addon.createModel(session, request, control()));
    expect(error).toMatchObject({ code: 'ERR_MEMORY_PLAN', received: expect.stringMatching(/packed weights \d+ MiB/) });
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('refuses bad sessions at once', () => {
    const open = (options: object) => () => addon.openSession(options as { device: 'cpu'; threads: number });
    expect(open({ device: 'tpu', threads: 1 })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(open({ device: 'cpu', threads: -1 })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(open({ device: 'cpu', threads: 1e9 })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(open({ device: 'cuda', threads: 1, deviceIndex: 64 })).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT' }),
    );
    expect(open({ device: 'cpu' })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
  });
});

describe('arguments of applyGradients', () => {
  const update = {
    ...{ learningRate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1, step: 1 },
    decayGroups: ['mlp' as const],
  };
  const cases: [string, object, RegExp][] = [
    ['a group that is not there', { decayGroups: ['mlp', 'matrices'] }, /applyGradients\.decayGroups/],
    ['groups as a text', { decayGroups: 'mlp' }, /applyGradients\.decayGroups/],
    ['no groups', { decayGroups: undefined }, /applyGradients\.decayGroups/],
    ['step 0', { step: 0 }, /applyGradients\.step/],
  ];
  it.each(cases)('refuses %s', async (_, change, message) => {
    await refused(addon.applyGradients(model, { ...update, ...change } as typeof update, control()), message);
  });
});
