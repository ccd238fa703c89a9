import { describe, expect, it } from 'vitest';
import { coOccurrenceScorer } from '../../lib/eval/index.js';
import type { RankingInstance } from '../../lib/types.js';

const first = ['a', 'b', 'c'];
const second = ['b', 'c'];
const third = ['a', 'c', 'd'];

const instance = (history: readonly string[], candidates: readonly string[]): RankingInstance => ({
  id: 'x',
  task: 'Rec-Movie',
  context: '',
  candidates: candidates.map((id) => ({ id, text: id })),
  relevance: candidates.map(() => 0),
  meta: { userId: 'first', historyItemIds: history },
});

describe('weighted co-occurrence', () => {
  // Together: a-b 1, a-c 2, b-c 2, a-d 1, c-d 1. Users: a 2, b 2, c 3, d 1. History a then b, so b weighs 1 and a 1/2.
  it('follows its formula', () => {
    const [c, d, unseen] = coOccurrenceScorer([first, second, third])(instance(['a', 'b'], ['c', 'd', 'z']));
    expect(c).toBeCloseTo(2 / Math.sqrt(6) + 2 / Math.sqrt(6) / 2, 12);
    expect(d).toBeCloseTo(1 / Math.sqrt(2) / 2, 12);
    expect(unseen).toBe(0);
  });

  // Without the first sequence: b-c 1, a-c 1, a-d 1. Users: a 1, b 1, c 2, d 1.
  it('takes the sequence of an instance out of all counts', () => {
    const score = coOccurrenceScorer([first, second, third], { without: () => first });
    const [c, d] = score(instance(['a', 'b'], ['c', 'd']));
    expect(c).toBeCloseTo(1 / Math.sqrt(2) + 1 / Math.sqrt(2) / 2, 12);
    expect(d).toBeCloseTo(1 / 2, 12);
  });

  it('scores an instance as if its own sequence had never been counted', () => {
    const long = ['a', 'x', 'c', 'b', 'd', 'a', 'y'];
    const others = [second, third, ['y', 'd', 'x', 'b']];
    const shown = instance(['x', 'd', 'b'], ['a', 'c', 'y', 'z', 'x']);
    for (const window of [1, 2, 3, 20]) {
      const held = coOccurrenceScorer([long, ...others], { window, without: () => long })(shown);
      const never = coOccurrenceScorer(others, { window })(shown);
      expect(held).toEqual(never);
      expect(coOccurrenceScorer([long, ...others], { window })(shown)).not.toEqual(never);
    }
  });
});
