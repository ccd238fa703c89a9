import { expect, it } from 'vitest';
import { exclusionProtocol } from '../../lib/protocol/index.js';
import { CaseSource, sizesAt } from '../../lib/train/cases.js';
import type { RankingInstance } from '../../lib/types.js';

const instances = [0, 1, 2].map(
  (user): RankingInstance => ({
    ...{ id: `user/${user}`, task: 'synthetic', context: 'a\nb', relevance: [0, 1, 0, 0, 0, 0, 0, 0] },
    candidates: Array.from({ length: 8 }, (_, index) => ({ id: `${user}-${index}`, text: `item ${index}` })),
  }),
);

const source = (rampSteps: number, seed = 1) =>
  new CaseSource({
    ...{ instances, protocol: exclusionProtocol({ wording: 'compact' }), casesPerStep: 3, seed, stageKey: 'stage-0' },
    sizes: { minimum: 2, maximum: 8, rampSteps },
  });

it('grows the largest size linearly over the ramp', () => {
  const largest = (rampSteps: number) =>
    [0, 1, 2, 5, 9, 10, 99].map((step) => sizesAt({ minimum: 2, maximum: 8, rampSteps }, step).maximum);
  expect(largest(10)).toEqual([2, 2, 3, 5, 7, 8, 8]);
  expect(largest(0)).toEqual([8, 8, 8, 8, 8, 8, 8]);
});

it('shows the sizes of the step, always with the relevant candidate among them', () => {
  const cases = source(12).slice(0, 90);
  for (const [position, { instance, prompt }] of cases.entries()) {
    const largest = 2 + Math.floor((6 * Math.floor(position / 3)) / 12);
    expect(prompt.labels.size).toBeLessThanOrEqual(Math.min(8, largest));
    expect([...prompt.labels.values()]).toContain(`${instance.id.slice(5)}-1`);
  }
  expect(new Set(cases.slice(40).map(({ prompt }) => prompt.labels.size)).size).toBeGreaterThan(4);
});

it('depends on seed, stage and position alone, and differs from visit to visit of an instance', () => {
  const shown = (from: CaseSource) => from.slice(0, 12).map(({ prompt }) => prompt.messages[0]?.content);
  expect(
    source(0)
      .slice(5, 7)
      .map(({ key }) => key),
  ).toEqual(
    source(0)
      .slice(0, 12)
      .slice(5)
      .map(({ key }) => key),
  );
  expect(shown(source(0))).toEqual(shown(source(0)));
  expect(shown(source(0, 2))).not.toEqual(shown(source(0)));
  expect(new Set(shown(source(0))).size).toBeGreaterThan(8);
});

it('asks the first question of a protocol that has no subsets', () => {
  const { trainingCases: _, ...plain } = exclusionProtocol({ wording: 'compact' });
  const sizes = { minimum: 2, maximum: 2, rampSteps: 0 };
  const cases = new CaseSource({ instances, protocol: plain, sizes, casesPerStep: 1, seed: 1, stageKey: 's' });
  expect(cases.at(0).prompt.labels.size).toBe(8);
});
