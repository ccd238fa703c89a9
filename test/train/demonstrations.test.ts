/** What a teacher shows, for each protocol that can be warmed up. */
import { expect, it } from 'vitest';
import { protocolNamed } from '../../lib/protocol/index.js';
import { CaseSource, canDemonstrate } from '../../lib/train/cases.js';
import { type DemonstrationOptions, loadTrainingData } from '../../lib/train/data-source.js';
import type { RankingInstance } from '../../lib/types.js';

const settings = { task: { name: 'synthetic' as const, users: 40, candidates: 6 } };

async function rewards(name: string, options: object, demonstrations: DemonstrationOptions): Promise<number[]> {
  const { train, demonstrator } = await loadTrainingData(settings, 1);
  const protocol = protocolNamed(name, options);
  const sizes = { minimum: 3, maximum: 6, rampSteps: 0 };
  const cases = new CaseSource({ instances: train, protocol, sizes, casesPerStep: 4, seed: 1, stageKey: 's' });
  const teach = demonstrator(demonstrations, 1);
  return cases.slice(0, 60).map(({ instance, prompt, key }) => {
    if (!canDemonstrate(protocol)) throw new Error(`${name} cannot demonstrate`);
    const { thought, bestFirst } = teach(instance, prompt, key);
    expect([...bestFirst].sort()).toEqual([...prompt.labels.values()].sort());
    const text = protocol.demonstrationText(instance, prompt, thought, bestFirst);
    const answer = protocol.parse(prompt, { text, stop: 'stop_token' });
    expect(answer.ok).toBe(true);
    return protocol.reward(instance as RankingInstance, prompt, answer).value;
  });
}

it.each([
  ['exclusion', { wording: 'compact' }],
  ['exclusion', { wording: 'compact', perStep: 2 }],
  ['exclusion', { wording: 'compact', direction: 'best' }],
  ['direct', { wording: 'compact' }],
  ['setwise', { wording: 'compact' }],
  ['setwise', { wording: 'rank-r1' }],
  ['listwise', { wording: 'rankzephyr' }],
])('%s %j: right ones earn everything, corrupt ones less', async (name, options) => {
  const best = await rewards(name, options, { corruptShare: 0, thought: 'none' });
  for (const value of best) expect(value).toBeCloseTo(1, 12);
  const corrupt = await rewards(name, options, { corruptShare: 1, thought: 'none' });
  expect(Math.min(...corrupt)).toBeLessThan(1);
});
