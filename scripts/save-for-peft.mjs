// Trains an adapter for some steps on a model folder with golden sequences, and writes it, the merged model, and what the engine
// answers with it. The other half is scripts/make-lora-goldens.py --verify; needs `npm run build`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openSession, readModelFolder, writeAdapterConfig, writeModelConfig } from '../dist/native/index.js';

const [base, golden, adapterFolder, mergedFolder] = process.argv.slice(2);
if (!mergedFolder) throw new Error('usage: node scripts/save-for-peft.mjs BASE GOLDEN.json ADAPTER MERGED');

const session = openSession({ device: 'cpu' });
const { config, weightFiles, eosTokenIds } = readModelFolder(base);
const model = await session.createModel({ config, dtype: 'f32', source: { kind: 'files', paths: weightFiles } });
const targets = ['q_proj', 'o_proj', 'layers.0.mlp.gate_proj', 'down_proj'];
const adapter = { rank: 5, alpha: 7, dropout: 0.1, rsLora: true, targets };
await model.addAdapter(adapter, { kind: 'random', seed: 3 });
await model.enableTraining();
const { sequences: lists, weights } = JSON.parse(readFileSync(golden, 'utf8'));
const sequences = lists.map((tokens) => Int32Array.from(tokens));
for (let step = 1; step <= 20; step++) {
  const weight = weights.map((row) => Float32Array.from(row));
  await model.accumulateGradients({ kind: 'supervised', sequences, weight, dropoutSeed: step });
  await model.applyGradients({ learningRate: 0.02, step });
}
for (const folder of [adapterFolder, mergedFolder]) mkdirSync(folder, { recursive: true });
writeAdapterConfig(adapterFolder, adapter, base);
await model.saveAdapter(join(adapterFolder, 'adapter_model.safetensors'));
writeModelConfig(mergedFolder, config, { eosTokenIds });
await model.saveMerged(join(mergedFolder, 'model.safetensors'), 'f32');
const rows = (scores) => scores.map((row) => Array.from(row.subarray(1)));
const answers = { sequences: lists, logprobs: rows(await model.score({ sequences })) };
writeFileSync(join(adapterFolder, 'answers.json'), JSON.stringify(answers));
const without = rows(await model.score({ sequences, adapter: false }));
const moved = Math.max(...answers.logprobs.flatMap((row, s) => row.map((v, i) => Math.abs(v - without[s][i]))));
console.log(`the adapter moves log-probabilities by up to ${moved.toFixed(3)}`);
await session.close();
