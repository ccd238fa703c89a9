import { describe, expect, it } from 'vitest';
import { exclusionProtocol } from '../../lib/protocol/index.js';
import { RandomStream } from '../../lib/random.js';
import { coOccurrenceGrader, gradedThought, gradeThresholds, kGrades } from '../../lib/train/graded-thought.js';
import type { RankingInstance } from '../../lib/types.js';

const protocol = exclusionProtocol({ wording: 'compact-phrases' });

const instanceOf = (userId: string, history: readonly string[], candidates: readonly string[]): RankingInstance => ({
  id: `Rec-Movie/${userId}`,
  task: 'Rec-Movie',
  context: history.join('\n'),
  candidates: candidates.map((id) => ({ id, text: `Film ${id}` })),
  relevance: candidates.map((_, index) => (index === 0 ? 1 : 0)),
  meta: { userId, historyItemIds: history },
});

describe('grades', () => {
  it('cut off shares that fall geometrically from 0.6 to 0.01', () => {
    const scores = Array.from({ length: 1000 }, (_, index) => (index * 617) % 1000);
    const thresholds = gradeThresholds(scores, 5);
    expect(thresholds).toHaveLength(4);
    const above = thresholds.map((threshold) => scores.filter((score) => score > threshold).length / 1000);
    const ratio = (0.01 / 0.6) ** (1 / 3);
    above.forEach((share, index) => {
      expect(share).toBeCloseTo(0.6 * ratio ** index, 2);
    });
  });

  it('do not give the target of a training user away', () => {
    // Only the user u ever took `target`, right after `h`; everybody else took `other` there.
    const others = Array.from({ length: 12 }, (_, index) => ({ userId: `v${index}`, itemIds: ['h', 'other'] }));
    const sequences = [{ userId: 'u', itemIds: ['h', 'target'] }, ...others];
    const instance = instanceOf('u', ['h'], ['target', 'other', 'never', 'nor this', 'nor that']);
    const grades = coOccurrenceGrader([instance], sequences)(instance);
    expect(grades.get('target')).toBe(grades.get('never'));
    expect(grades.get('other')).toBeGreaterThan(grades.get('target') as number);
    const stranger = { ...instance, meta: { ...instance.meta, userId: 'w' } };
    const seen = coOccurrenceGrader([stranger], sequences)(stranger);
    expect(seen.get('target')).toBeGreaterThan(seen.get('never') as number);
  });
});

describe('the thought of grades', () => {
  const instance = instanceOf('u', ['h'], ['a', 'b', 'c']);
  const prompt = protocol.promptFor(instance, ['a', 'b', 'c'], 'test');
  const random = () => new RandomStream(1, 'test');

  it('names every candidate in the order shown, and answers with the lowest grade', () => {
    const grades = new Map([
      ['a', kGrades - 1],
      ['b', 3],
      ['c', 0],
    ]);
    const { thought, bestFirst } = gradedThought(instance, prompt, grades, random());
    const expected = [...prompt.labels].map(([label, id]) => ` [${label}] |Film ${id}| ${grades.get(id)}`).join('');
    expect(thought).toBe(expected);
    expect(bestFirst).toEqual(['a', 'b', 'c']);
    const text = protocol.demonstrationText(instance, prompt, thought, bestFirst);
    expect(protocol.parse(prompt, { text, stop: 'stop_token' })).toMatchObject({ ok: true, ids: ['c'] });
  });

  it('breaks ties for the lowest grade at random, and only those', () => {
    const grades = new Map([
      ['a', 1],
      ['b', 0],
      ['c', 0],
    ]);
    const stream = random();
    const answers = Array.from({ length: 200 }, () => gradedThought(instance, prompt, grades, stream).bestFirst.at(-1));
    expect(new Set(answers)).toEqual(new Set(['b', 'c']));
    expect(answers.filter((id) => id === 'b').length).toBeGreaterThan(60);
    expect(answers.filter((id) => id === 'b').length).toBeLessThan(140);
  });
});
