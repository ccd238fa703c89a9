// @ts-check
// Ranks one instance by exclusion: node examples/rank.mjs MODEL_FOLDER
import { exclusionProtocol, LanguageModel, openSession, rankAll, readModelFolder, Tokenizer } from 'winnow-rank';

const folder = process.argv[2] ?? 'models/Qwen2.5-0.5B-Instruct'; // config.json, tokenizer.json, *.safetensors
const { config, weightFiles, eosTokenIds } = readModelFolder(folder);
const session = openSession({ device: 'cpu', threads: 0 });
const model = await session.createModel({ config, dtype: 'bf16', source: { kind: 'files', paths: weightFiles } });
const language = new LanguageModel(model, Tokenizer.fromFolder(folder), { stopTokens: eosTokenIds });

const instance = {
  id: 'user-1',
  task: 'Rec-Movie',
  context: 'Alien (1979)\nBlade Runner (1982)\nThe Thing (1982)',
  candidates: [
    { id: 'm1', text: 'Aliens (1986)' },
    { id: 'm2', text: 'Babe (1995)' },
    { id: 'm3', text: 'Sense and Sensibility (1995)' },
  ],
  relevance: [1, 0, 0],
};
const generate = language.generator({ maxTokens: 256, temperature: 0 });
const [result] = await rankAll(exclusionProtocol({}), [instance], generate);
console.log(result?.ranking, result?.malformed);
await session.close();
