// Loads a model folder, saves it as f32 in a new folder and scores the golden sequences with what was loaded back.
// Half of scripts/verify-with-transformers.py; needs `npm run build`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openSession, readModelFolder, writeModelConfig } from '../dist/native/index.js';

const [from, to, scores] = process.argv.slice(2);
if (!scores) throw new Error('usage: node scripts/save-for-transformers.mjs MODEL FOLDER SCORES.jsonl');

const session = openSession({ device: 'cpu' });
const load = async (folder) => {
  const { config, weightFiles } = readModelFolder(folder);
  return session.createModel({ config, dtype: 'f32', source: { kind: 'files', paths: weightFiles } });
};

const { config, eosTokenIds } = readModelFolder(from);
const original = await load(from);
mkdirSync(to, { recursive: true });
writeModelConfig(to, config, { eosTokenIds });
await original.save(join(to, 'model.safetensors'), 'f32');

const { sequences } = JSON.parse(readFileSync(join(from, 'golden.json'), 'utf8'));
const saved = await load(to);
const results = await saved.score({ sequences: sequences.map((tokens) => Int32Array.from(tokens)) });
const lines = results.map((logprobs, i) =>
  JSON.stringify({ tokens: sequences[i], logprobs: Array.from(logprobs, (v) => (Number.isNaN(v) ? null : v)) }),
);
writeFileSync(scores, `${lines.join('\n')}\n`);
await session.close();
