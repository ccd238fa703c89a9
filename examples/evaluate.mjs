// @ts-check
// Evaluation only: node examples/evaluate.mjs [MODEL_FOLDER] [INSTANCES]
//
// Ranks instances with a model and measures the outcome beside chance and a baseline. Without a folder in the Hugging Face layout
// it takes a small model of random weights, which shows how a ranker looks that knows nothing.
import {
  buildWordTokenizer,
  evaluate,
  evaluateScorer,
  exclusionProtocol,
  LanguageModel,
  makeSyntheticTask,
  openSession,
  popularityScorer,
  readModelFolder,
  Tokenizer,
} from 'winnow-rank';

const [folder = '', count = '50'] = process.argv.slice(2);
const task = makeSyntheticTask({ seed: 1, users: 400, candidates: 5 });
const instances = task.test.slice(0, Number(count));

const session = openSession({ device: 'cpu', threads: 0 });

async function fromFolder() {
  const { config, weightFiles, eosTokenIds } = readModelFolder(folder);
  const model = await session.createModel({ config, dtype: 'f32', source: { kind: 'files', paths: weightFiles } });
  return new LanguageModel(model, Tokenizer.fromFolder(folder), { stopTokens: eosTokenIds });
}

async function fromNothing() {
  const texts = task.train.map(
    ({ context, candidates }) => ` ${context} ${candidates.map(({ text }) => text).join(' ')}`,
  );
  const tokenizer = buildWordTokenizer(texts);
  const size = { width: 64, layers: 2, heads: 4, kvHeads: 4, headDim: 16, feedForward: 176, maxPositions: 512 };
  const form = { qkNorm: true, tiedHead: true, qkvBias: false, outputBias: false, normEpsilon: 1e-6 };
  const rope = { ropeTheta: 10_000, ropeScaling: /** @type {const} */ ('none'), ropeFactor: 1 };
  const unused = { ropeLowFrequency: 1, ropeHighFrequency: 4, ropeOriginalPositions: 512 };
  const config = { vocabulary: tokenizer.vocabularySize, ...size, ...form, ...rope, ...unused };
  const source = { kind: /** @type {const} */ ('random'), seed: 1, standardDeviation: 0.02 };
  return new LanguageModel(await session.createModel({ config, dtype: 'f32', source }), tokenizer);
}

const language = folder === '' ? await fromNothing() : await fromFolder();
const generate = language.generator({ maxTokens: 48, temperature: 0 });
const protocol = exclusionProtocol({ wording: 'compact' });
const result = await evaluate(protocol, instances, generate, {
  // Each malformed completion is counted by its reason, and the ranking goes on in the (random) order shown.
  malformed: { policy: 'keep_order' },
  measures: ['MRR', 'nDCG@5'],
  onProgress: (done, total) => process.stderr.write(`\r${done} of ${total} ranked`),
});
process.stderr.write('\n');

const popularity = popularityScorer(task.trainSequences.map(({ itemIds }) => itemIds));
const baseline = evaluateScorer(popularity, instances, { measures: ['MRR', 'nDCG@5'] });
for (const [index, { name, mean, low, high, chance }] of result.measures.entries()) {
  const interval = `${mean.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
  console.log(
    `${name}: model ${interval}, chance ${chance.toFixed(3)}, popularity ${baseline[index]?.mean.toFixed(3)}`,
  );
}
console.log(
  `malformed ${(100 * result.malformedRate).toFixed(1)} % of ${result.calls} calls`,
  result.malformedByReason,
);
const { prompt, computedPrompt, completion } = language.usage;
console.log(`${prompt} prompt tokens, of which ${computedPrompt} were computed; ${completion} sampled`);
console.log('first ranking:', result.results[0]?.ranking?.join(' > '));
await session.close();
