// Every kind of answer of one addon, as digests of the exact bytes.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';

const [addonPath, configText] = process.argv.slice(2);
const addon = createRequire(import.meta.url)(addonPath);
const config = JSON.parse(configText);
const answers = {};
const digest = (array) => createHash('sha256').update(new Uint8Array(array.buffer)).digest('hex');
let id = 0;
const control = () => ({ id: ++id });
const flat = {
  tokens: Int32Array.from({ length: 60 }, (_, i) => (i * 37 + (i >> 4)) % config.vocabulary),
  offsets: Float64Array.of(0, 7, 30, 60),
};
const sampling = {
  promptKeys: Float64Array.of(0, 1, 2),
  maxTokens: 12,
  temperature: 0.9,
  topK: 20,
  topP: 0.9,
  minP: 0.01,
  seed: 11,
  completionsPerPrompt: 3,
  ignoreStopTokens: false,
  stopTokens: Int32Array.of(5),
  stopStrings: [],
  tokenBytes: new Uint8Array(0),
  tokenByteOffsets: new Float64Array(0),
  maxBatch: 16,
  maxKvBytes: 2 ** 26,
  maxPrefixBytes: 0,
  maxActivationBytes: 0,
  prefillTokens: 16,
};
const weight = Float32Array.from({ length: 60 }, (_, i) => ([0, 7, 30].includes(i) ? 0 : 0.1));
const loss = {
  kind: 'policy_gradient',
  weight,
  advantage: Float32Array.from({ length: 60 }, (_, i) => (i % 3) - 1),
  clipLow: 0.2,
  clipHigh: 0.2,
  klCoefficient: 0,
  entropyCoefficient: 0.01,
  temperature: 1,
  maxBatchTokens: 64,
  headChunkRows: 8,
  recompute: 'layer',
  dropoutSeed: 0,
};
const update = {
  learningRate: 1e-2,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0.1,
  decayGroups: ['attention', 'mlp'],
  maxGradientNorm: 1,
  step: 1,
};

for (const device of ['cpu', 'reference']) {
  for (const dtype of ['f32', 'bf16']) {
    const session = addon.openSession({ device, threads: 2 });
    const source = { kind: 'random', seed: 5, standardDeviation: 0.2 };
    const model = await addon.createModel(session, { config, dtype, source }, control());
    const score = () => addon.score(model, { ...flat, temperature: 0.7, maxBatchTokens: 32, adapter: true }, control());
    answers[`${device} ${dtype} score`] = digest(await score());
    const generated = await addon.generate(model, { ...flat, ...sampling }, control());
    answers[`${device} ${dtype} tokens`] = digest(generated.tokens);
    answers[`${device} ${dtype} logprobs`] = digest(generated.logprobs);
    await addon.enableTraining(model, { moments: '8bit', masters: 'split' }, control());
    const result = await addon.accumulateGradients(model, { ...flat, ...loss }, control());
    answers[`${device} ${dtype} loss`] = `${result.loss} ${result.entropy}`;
    answers[`${device} ${dtype} norm`] = String((await addon.applyGradients(model, update, control())).gradientNorm);
    answers[`${device} ${dtype} after`] = digest(await score());
    await addon.closeSession(session);
  }
}
console.log(JSON.stringify({ buildInfo: addon.buildInfo(), answers }));
