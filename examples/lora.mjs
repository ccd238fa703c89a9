// @ts-check
// LoRA on a local Qwen folder: node examples/lora.mjs [MODEL_FOLDER] [OUTPUT_FOLDER] [STEPS]
//
// The folder holds config.json, tokenizer.json and *.safetensors, as downloaded from Hugging Face; nothing in it changes. Without
// one a tiny Qwen2 of random weights is made first, which cannot rank but shows every step. See docs/lora.md.
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  buildWordTokenizer,
  exclusionProtocol,
  LanguageModel,
  makeSyntheticTask,
  openSession,
  rankAll,
  readAdapterFolder,
  readModelFolder,
  Tokenizer,
  train,
  writeModelConfig,
} from 'winnow-rank';

const [given = '', output = `runs/lora-${Date.now()}`, steps = '10'] = process.argv.slice(2);
const task = makeSyntheticTask({ seed: 1, users: 100, candidates: 4 });
const isTiny = given === '';
const wording = isTiny ? 'compact' : 'labels'; // in words for a model that understands them

/** A model folder as Qwen2's are, but with random weights and a tokenizer of the task's words. @param {string} folder */
async function makeTinyQwen(folder) {
  const texts = task.train.map(
    ({ context, candidates }) => ` ${context} ${candidates.map(({ text }) => text).join(' ')}`,
  );
  const tokenizer = buildWordTokenizer(texts);
  const size = { width: 64, layers: 2, heads: 4, kvHeads: 2, headDim: 16, feedForward: 176, maxPositions: 512 };
  const form = { qkNorm: false, tiedHead: true, qkvBias: true, outputBias: false, normEpsilon: 1e-6 };
  const rope = { ropeTheta: 10_000, ropeScaling: /** @type {const} */ ('none'), ropeFactor: 1 };
  const unused = { ropeLowFrequency: 1, ropeHighFrequency: 4, ropeOriginalPositions: 512 };
  const config = { vocabulary: tokenizer.vocabularySize, ...size, ...form, ...rope, ...unused };
  const session = openSession({ device: 'cpu' });
  const source = { kind: /** @type {const} */ ('random'), seed: 1, standardDeviation: 0.06 };
  const model = await session.createModel({ config, dtype: 'bf16', source });
  mkdirSync(folder, { recursive: true });
  writeModelConfig(folder, config, { eosTokenIds: [/** @type {number} */ (tokenizer.eosTokenId)] });
  tokenizer.saveTo(folder);
  await model.save(join(folder, 'model.safetensors'), 'bf16');
  await session.close();
  return folder;
}

const folder = isTiny ? await makeTinyQwen(join(output, 'tiny-qwen')) : given;

// A rate about ten times that of training all weights. `reference: base`, the model without its adapter, takes no memory.
/** @type {NonNullable<import('winnow-rank').TrainConfig['stages']>} */
const warmUp = isTiny
  ? [{ kind: 'sft', steps: 20, batch: 16, learningRate: 1e-2, demonstrations: { corruptShare: 0 } }]
  : [];
const run = train({
  name: 'LoRA',
  output: join(output, 'run'),
  model: { folder, dtype: 'bf16', lora: { rank: 8, alpha: 16, targets: ['all-linear'] } },
  data: { task: { name: 'synthetic', seed: 1, users: 100, candidates: 4 } },
  protocol: { name: 'exclusion', wording },
  stages: [
    ...warmUp,
    {
      ...{
        kind: 'grpo',
        steps: Number(steps),
        prompts: 4,
        group: 4,
        maxTokens: isTiny ? 48 : 256,
        learningRate: 1e-4,
      },
      ...{ kl: { coefficient: 0.01 }, reference: 'base' },
    },
  ],
});
for await (const event of run) {
  if (event.type !== 'step') continue;
  const { stage, stage_step, metrics } = event.record;
  const figures = Object.entries({ loss: metrics.loss, reward: metrics.reward, kl: metrics.kl });
  const shown = figures.flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value.toFixed(4)}`]));
  console.log(`${stage} ${stage_step}: ${shown.join(', ')}`);
}

// The checkpoint is the adapter alone, in PEFT's files. Here it goes onto the untouched folder again.
const { checkpoint = '' } = await run;
console.log(
  `adapter: ${readdirSync(checkpoint)
    .filter((name) => name.startsWith('adapter'))
    .join(', ')}`,
);
const session = openSession({ device: 'cpu' });
const { config, weightFiles, eosTokenIds } = readModelFolder(folder);
const model = await session.createModel({ config, dtype: 'bf16', source: { kind: 'files', paths: weightFiles } });
const adapter = readAdapterFolder(checkpoint);
await model.addAdapter(adapter.config, { kind: 'file', path: adapter.weightsFile });
const language = new LanguageModel(model, Tokenizer.fromFolder(folder), { stopTokens: eosTokenIds });
const generate = language.generator({ maxTokens: isTiny ? 48 : 256, temperature: 0 });
const [result] = await rankAll(exclusionProtocol({ wording }), task.test.slice(0, 1), generate);
console.log('a ranking with the adapter:', result?.ranking?.join(' > '), result?.malformed);
await session.close();
