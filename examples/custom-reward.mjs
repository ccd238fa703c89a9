// @ts-check
// Trains with a reward of one's own: node examples/custom-reward.mjs [OUTPUT_FOLDER] [GRPO_STEPS]
//
// Completions should name the wrong candidates, and say so in few words. The reward asks a judge for each completion; here the
// judge is a function that takes a moment, as a service elsewhere would.
import { setTimeout as wait } from 'node:timers/promises';
import { train } from 'winnow-rank';

const [output = `runs/custom-reward-${Date.now()}`, steps = '40'] = process.argv.slice(2);

/** @param {import('winnow-rank').RewardEntry} entry */
async function judge({ instance, answer }) {
  await wait(2);
  if (!answer.ok) return 0; // malformed completions are rewarded too: with what they are worth
  const excluded = instance.candidates.findIndex(({ id }) => id === answer.ids[0]);
  return instance.relevance[excluded] === 0 ? 1 : 0;
}

/**
 * One call for all completions of a step, one promise for each of them: they run at once, and one that fails stops the run with
 * its instance named.
 *
 * @type {import('winnow-rank').RewardFunction}
 */
const reward = (batch) =>
  batch.map(async (entry) => {
    const right = await judge(entry);
    const brevity = -0.01 * entry.completion.tokens.length;
    return { value: right + brevity, parts: { right, brevity } };
  });

const run = train(
  {
    name: 'A reward of one’s own',
    output,
    model: { scratch: { width: 64, layers: 2, heads: 4, maxPositions: 256, standardDeviation: 0.06 } },
    data: { task: { name: 'synthetic', users: 200, candidates: 4 } },
    protocol: { name: 'exclusion', wording: 'compact' },
    stages: [
      // The warm-up teaches the format; half of what it shows is random, so that there is something left to learn.
      { kind: 'sft', steps: 100, batch: 16, learningRate: 3e-3, demonstrations: { corruptShare: 0.5 } },
      { kind: 'grpo', steps: Number(steps), prompts: 16, group: 8, maxTokens: 48, learningRate: 1e-3 },
    ],
    evaluation: { maxTokens: 48, instances: 50 },
  },
  { reward, rewardTimeoutMs: 10_000 },
);

for await (const event of run) {
  if (event.type === 'step' && event.record.kind === 'grpo' && event.record.stage_step % 5 === 0) {
    const { metrics, stage_step } = event.record;
    const right = metrics['rewards/right/mean']?.toFixed(2);
    const length = metrics['completions/mean_length']?.toFixed(1);
    console.log(`step ${stage_step}: right ${right}, ${length} tokens`);
  }
  if (event.type === 'evaluation')
    console.log(`${event.record.label}: MRR ${event.record.measures.mrr?.mean.toFixed(3)}`);
}
console.log(`checkpoint: ${(await run).checkpoint}`);
