/** What a teacher shows, for each protocol that can be warmed up. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { protocolNamed } from '../../lib/protocol/index.js';
import { CaseSource, canDemonstrate, demonstrationText } from '../../lib/train/cases.js';
import { type DemonstrationOptions, loadTrainingData } from '../../lib/train/data-source.js';
import type { Prompt, RankingInstance } from '../../lib/types.js';

const settings = { task: { name: 'synthetic' as const, users: 40, candidates: 6 } };

async function rewards(name: string, options: object, demonstrations: DemonstrationOptions): Promise<number[]> {
  const { train, demonstrator } = await loadTrainingData(settings, 1);
  const protocol = protocolNamed(name, options);
  const sizes = { minimum: 3, maximum: 6, rampSteps: 0 };
  const cases = new CaseSource({ instances: train, protocol, sizes, casesPerStep: 4, seed: 1, stageKey: 's' });
  const teach = demonstrator(demonstrations, 1);
  return cases.slice(0, 60).map(({ instance, prompt, key }) => {
    if (!canDemonstrate(protocol)) throw new Error(`${name} cannot demonstrate`);
    const judgement = teach(instance, prompt, key);
    expect([...judgement.bestFirst].sort()).toEqual([...prompt.labels.values()].sort());
    const text = demonstrationText(protocol, judgement, instance, prompt);
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

it('names in its thought what its answer names, in its order, and nothing else', async () => {
  const instances: RankingInstance[] = ['p', 'q'].map((name) => ({
    id: name,
    task: 'Router-Cost',
    context: 'a request',
    candidates: ['x', 'y', 'z'].map((id) => ({ id, text: `model/${id}` })),
    relevance: [0, 1, 0],
  }));
  const folder = mkdtempSync(join(tmpdir(), 'winnow-demonstrations-'));
  const path = join(folder, 'train.jsonl');
  writeFileSync(path, instances.map((instance) => `${JSON.stringify(instance)}\n`).join(''));
  const { demonstrator } = await loadTrainingData({ train: path }, 1);
  const teach = demonstrator({ corruptShare: 0, thought: 'names' }, 1);
  const [instance] = instances as [RankingInstance];
  const completion = (name: string): string => {
    const protocol = protocolNamed(name, { wording: 'compact-names' });
    if (!canDemonstrate(protocol)) throw new Error(`${name} cannot demonstrate`);
    const [prompt] = protocol.prompts(protocol.start(instance)) as [Prompt];
    return demonstrationText(protocol, teach(instance, prompt, 1), instance, prompt);
  };
  expect(completion('setwise')).toMatch(/^ \|model\/y\| (\[[ABC]\])<\/think><answer> \1</);
  expect(completion('exclusion')).toMatch(/^ \|model\/[xz]\| (\[[ABC]\])<\/think><answer> \1</);
  expect(completion('direct')).toMatch(/^ \|model\/y\| \[[ABC]\]( \|model\/[xz]\| \[[ABC]\]){2}<\/think>/);
  rmSync(folder, { recursive: true });
});

it('refuses thoughts that the data does not have', async () => {
  const synthetic = await loadTrainingData(settings, 1);
  for (const thought of ['names', 'scores'] as const) {
    expect(() => synthetic.demonstrator({ corruptShare: 0, thought }, 1)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG' }),
    );
  }
});
