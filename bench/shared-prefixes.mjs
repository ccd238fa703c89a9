// @ts-check
// npm run bench:prefixes [-- --queries 10 --data ../shared/data --json]
//
// How many prompt tokens the engine computes when it ranks, and how many it was given: with common beginnings computed once within
// a call, and with keys kept between the calls of a ranking too. The answers come from a perfect comparator, so that the sort asks
// what it asks of a good ranker; the tokens run through a model of random weights, whose size does not change their number. One
// ranking at a time: many at once share their room for keys. Without the folder of data it counts on the synthetic task alone.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  buildWordTokenizer,
  exclusionProtocol,
  LanguageModel,
  loadQrels,
  makeRecTask,
  makeSyntheticTask,
  openSession,
  rankAll,
  readInteractions,
  readRankLlmRequests,
  setwiseProtocol,
  Tokenizer,
} from 'winnow-rank';

const options = /** @type {const} */ ({
  queries: { type: 'string', default: '10' },
  data: { type: 'string', default: process.env.WINNOW_DATA ?? '../shared/data' },
  json: { type: 'boolean', default: false },
});
const { queries, data, json } = parseArgs({ options }).values;
const count = Number(queries);
const MAX_POSITIONS = 32_768;
const session = openSession({ device: 'cpu', threads: 0 });

/** @param {Tokenizer} tokenizer */
async function rankerOf(tokenizer) {
  const size = {
    width: 16,
    layers: 1,
    heads: 1,
    kvHeads: 1,
    headDim: 16,
    feedForward: 16,
    maxPositions: MAX_POSITIONS,
  };
  const form = {
    qkNorm: true,
    tiedHead: true,
    qkvBias: false,
    outputBias: false,
    normEpsilon: 1e-6,
    ropeTheta: 10_000,
  };
  const rope = { ropeScaling: /** @type {const} */ ('none'), ropeFactor: 1, ropeLowFrequency: 1, ropeHighFrequency: 4 };
  const config = {
    vocabulary: tokenizer.vocabularySize,
    ...size,
    ...form,
    ...rope,
    ropeOriginalPositions: MAX_POSITIONS,
  };
  const source = { kind: /** @type {const} */ ('random'), seed: 1, standardDeviation: 0.02 };
  return session.createModel({ config, dtype: 'f32', source });
}

/**
 * Prompt tokens and calls of ranking every instance, in turn.
 *
 * @template State
 * @param {import('winnow-rank').Protocol<State> & { demonstrationText: Function }} protocol
 * @param {readonly import('winnow-rank').RankingInstance[]} instances
 * @param {Tokenizer} tokenizer
 * @param {number | undefined} maxPrefixBytes undefined: the default
 */
async function countTokens(protocol, instances, tokenizer, maxPrefixBytes) {
  const model = await rankerOf(tokenizer);
  const language = new LanguageModel(model, tokenizer);
  const kept = maxPrefixBytes === undefined ? {} : { maxPrefixBytes };
  const generate = language.generator({ maxTokens: 1, temperature: 0, ...kept });
  let calls = 0;
  for (const instance of instances) {
    const [result] = await rankAll(protocol, [instance], async (prompts, request) => {
      const completions = await generate(prompts, request);
      return completions.map((completion, index) => ({
        ...completion,
        ...{ text: perfectAnswer(protocol, instance, prompts[index]), stop: /** @type {const} */ ('stop_token') },
      }));
    });
    calls += result?.calls ?? 0;
  }
  const { prompt: given, computedPrompt: computed } = language.usage;
  await model.dispose();
  return { given, computed, calls };
}

/**
 * @param {{ demonstrationText: Function }} protocol
 * @param {import('winnow-rank').RankingInstance} instance
 * @param {import('winnow-rank').Prompt | undefined} prompt
 */
function perfectAnswer(protocol, instance, prompt) {
  const grades = new Map(instance.candidates.map(({ id }, index) => [id, instance.relevance[index] ?? 0]));
  const bestFirst = [...(prompt?.labels.values() ?? [])].sort((a, b) => (grades.get(b) ?? 0) - (grades.get(a) ?? 0));
  return protocol.demonstrationText(instance, prompt, 'so', bestFirst);
}

/** DL19: the hundred passages that BM25 found, with their judgements. @param {string} folder */
async function passages(folder) {
  const qrels = await loadQrels(join(folder, 'qrels.dl19-passage.txt'));
  const instances = [];
  for await (const { query, candidates } of readRankLlmRequests(join(folder, 'retrieve_results_dl19.json'))) {
    const grades = qrels.get(query.id) ?? new Map();
    instances.push({
      ...{ id: query.id, task: 'Passage', context: query.text },
      candidates: candidates.map(({ id, text }) => ({ id, text })),
      relevance: candidates.map(({ id }) => grades.get(id) ?? 0),
    });
    if (instances.length === count) break;
  }
  return instances;
}

async function workloads() {
  const synthetic = makeSyntheticTask({ seed: 1, users: 400, candidates: 20 }).test.slice(0, count);
  const words = buildWordTokenizer(
    synthetic
      .flatMap((instance) => exclusionProtocol({}).prompts(exclusionProtocol({}).start(instance)))
      .map(({ messages }) => messages.map(({ content }) => content).join(' ')),
  );
  const found = [
    {
      name: 'exclusion, 20 of the synthetic task',
      protocol: exclusionProtocol({}),
      instances: synthetic,
      tokenizer: words,
    },
    {
      name: 'setwise, 20 of the synthetic task',
      protocol: setwiseProtocol({ window: 5, topK: 10 }),
      instances: synthetic,
      tokenizer: words,
    },
  ];
  const folder = join(data, 'tokenizer/qwen2.5-instruct');
  if (!existsSync(folder)) {
    if (!json) console.log(`skipped: no real data at ${data}`);
    return found;
  }
  const tokenizer = Tokenizer.fromFolder(folder);
  const films = makeRecTask('Rec-Movie', await readInteractions(join(data, 'rec/ml-100k')), { seed: 1 }).test.slice(
    0,
    count,
  );
  const judged = await passages(join(data, 'passage/trec-dl'));
  const rankR1 = setwiseProtocol({ wording: 'rank-r1', window: 20, topK: 10 });
  return [
    ...found,
    { name: 'exclusion, 20 films of Rec-Movie', protocol: exclusionProtocol({}), instances: films, tokenizer },
    { name: 'setwise, top 10 of 100 passages of DL19', protocol: rankR1, instances: judged, tokenizer },
  ];
}

for (const { name, protocol, instances, tokenizer } of await workloads()) {
  const within = await countTokens(/** @type {any} */ (protocol), instances, tokenizer, 0);
  const between = await countTokens(/** @type {any} */ (protocol), instances, tokenizer, undefined);
  const { given, calls } = within;
  const record = { name, rankings: instances.length, calls, given, within: within.computed, between: between.computed };
  const ratios = { ratioWithin: given / within.computed, ratioBetween: given / between.computed };
  if (json) console.log(JSON.stringify({ ...record, ...ratios }));
  else {
    console.log(`${name}: ${instances.length} rankings, ${calls} calls, ${given} prompt tokens given`);
    console.log(`  shared within a call:  ${within.computed} computed, ${ratios.ratioWithin.toFixed(2)} times fewer`);
    console.log(`  and kept between them: ${between.computed} computed, ${ratios.ratioBetween.toFixed(2)} times fewer`);
  }
}
await session.close();
