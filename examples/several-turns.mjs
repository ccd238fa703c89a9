// @ts-check
// An environment of several turns, of one's own: node examples/several-turns.mjs [OUTPUT_FOLDER] [GRPO_STEPS]
//
// First the model sees four candidates and makes a shortlist of two; then it sees those two and picks one. A protocol is a small
// state machine; training, evaluation and ranking use the same object.
import { labelAt, neutralise, parseFormat, RandomStream, train } from 'winnow-rank';

const [output = `runs/several-turns-${Date.now()}`, steps = '40'] = process.argv.slice(2);
const SHORT = 2;

/**
 * Plain data, never changed: `ranked` is what is settled, best first; `left` is still to be asked about.
 *
 * @typedef {{ instance: import('winnow-rank').RankingInstance, left: readonly string[], ranked: readonly string[], behind: readonly string[] }} State
 */

/** How many a question over so many candidates asks for. @param {number} shown */
const wanted = (shown) => (shown > SHORT ? SHORT : 1);

/**
 * The question over some candidates, in an order of its own, so that a place says nothing.
 *
 * @param {import('winnow-rank').RankingInstance} instance
 * @param {readonly string[]} ids
 */
function promptFor(instance, ids) {
  const shown = new RandomStream(0, 'several-turns', instance.id, ids.length).shuffled(ids);
  const labels = new Map(shown.map((id, index) => [labelAt(index, 'letters'), id]));
  const textOf = new Map(instance.candidates.map(({ id, text }) => [id, neutralise(text)]));
  const past = instance.context.split('\n').map((line) => ` ${neutralise(line)} ;`);
  const candidates = [...labels].map(([label, id]) => ` [${label}] ${textOf.get(id)}`);
  /** @type {import('winnow-rank').Message[]} */
  const messages = [{ role: 'user', content: `${past.join('')}\n${candidates.join('')}\n` }];
  return { messages, prefix: '<think>', labels };
}

/** @type {import('winnow-rank').Protocol<State> & Record<string, unknown>} */
const shortlist = {
  name: 'shortlist',
  start: (instance) => ({ instance, left: instance.candidates.map(({ id }) => id), ranked: [], behind: [] }),
  prompts: ({ instance, left }) => (left.length < 2 ? [] : [promptFor(instance, left)]),

  // A malformed completion is an answer with a reason. Nothing is repaired here.
  parse(prompt, completion) {
    const parsed = parseFormat(completion);
    if (!parsed.ok) return parsed;
    const format = { think: true, answer: true };
    const named = parsed.answer.match(/[A-Z]+/g) ?? [];
    const ids = named.flatMap((label) => prompt.labels.get(label) ?? []);
    if (ids.length < named.length) return { ok: false, reason: 'unknown_candidate', detail: parsed.answer, format };
    if (new Set(ids).size < ids.length)
      return { ok: false, reason: 'duplicate_candidate', detail: parsed.answer, format };
    if (ids.length !== wanted(prompt.labels.size))
      return { ok: false, reason: 'incomplete_list', detail: parsed.answer, format };
    return { ok: true, ids, thought: parsed.thought };
  },

  // After a malformed answer the candidates shown first are taken: the order shown is random, so this earns what chance earns.
  advance({ instance, left, behind }, [answer]) {
    const shown = [...promptFor(instance, left).labels.values()];
    const taken = answer?.ok ? answer.ids : shown.slice(0, wanted(left.length));
    const others = shown.filter((id) => !taken.includes(id));
    return left.length > SHORT
      ? { instance, left: taken, ranked: [], behind: others }
      : { instance, left: [], ranked: [...taken, ...others], behind };
  },
  done: ({ left }) => left.length < 2,
  ranking: ({ left, ranked, behind }) => [...left, ...ranked, ...behind],

  // Each turn by itself: 1 when nothing that was left behind is more relevant than all that was taken.
  reward({ candidates, relevance }, { labels }, answer) {
    if (!answer.ok) return { value: -0.5, parts: { right: 0 } };
    const gradeOf = (/** @type {string} */ id) => relevance[candidates.findIndex((one) => one.id === id)] ?? 0;
    const best = Math.max(...[...labels.values()].map(gradeOf));
    const right = answer.ids.some((id) => gradeOf(id) === best) ? 1 : 0;
    return { value: right, parts: { right } };
  },

  // For the warm-up only: questions of both turns, and what somebody who knows the order would answer.
  /** @param {import('winnow-rank').RankingInstance} instance @param {{ seed: number }} options */
  trainingCases(instance, { seed }) {
    const random = new RandomStream(seed, 'several-turns case', instance.id);
    const all = instance.candidates.map(({ id }) => id);
    const best = all[instance.relevance.indexOf(Math.max(...instance.relevance))];
    const two = [best, random.pick(all.filter((id) => id !== best))];
    return [{ prompt: promptFor(instance, random.uniform() < 0.5 ? all : /** @type {string[]} */ (two)) }];
  },
  /**
   * @param {unknown} _
   * @param {import('winnow-rank').Prompt} prompt
   * @param {string} thought
   * @param {readonly string[]} bestFirst
   */
  demonstrationText(_, { labels }, thought, bestFirst) {
    const labelOf = new Map([...labels].map(([label, id]) => [id, label]));
    const answer = bestFirst.slice(0, wanted(labels.size)).map((id) => ` [${labelOf.get(id)}]`);
    return `${thought}</think><answer>${answer.join('')}</answer>`;
  },
};

const run = train(
  {
    name: 'A shortlist, then a pick',
    output,
    model: { scratch: { width: 64, layers: 2, heads: 4, maxPositions: 256, standardDeviation: 0.06 } },
    data: { task: { name: 'synthetic', users: 200, candidates: 4 } },
    stages: [
      { kind: 'sft', steps: 150, batch: 16, learningRate: 3e-3, demonstrations: { corruptShare: 0.5 } },
      // `states: policy`: the second turn is asked about the shortlists that the model itself makes.
      {
        ...{ kind: 'grpo', steps: Number(steps), prompts: 16, group: 8, maxTokens: 48, learningRate: 1e-3 },
        ...{ states: 'policy', sizes: { minimum: 2, maximum: 4 } },
      },
    ],
    evaluation: { maxTokens: 48, instances: 50 },
  },
  { protocol: shortlist },
);

for await (const event of run) {
  if (event.type === 'step' && event.record.kind === 'grpo' && event.record.stage_step % 5 === 0) {
    const { metrics, stage_step } = event.record;
    console.log(
      `step ${stage_step}: reward ${metrics.reward?.toFixed(2)}, malformed ${metrics.malformed_rate?.toFixed(2)}`,
    );
  }
  if (event.type === 'evaluation')
    console.log(`${event.record.label}: MRR ${event.record.measures.mrr?.mean.toFixed(3)}`);
}
