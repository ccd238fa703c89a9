/** Exclusion beyond one at a time: several a step, an early end, picking the best, and the reward that says when. */
import { describe, expect, it } from 'vitest';
import { rankAll } from '../../lib/protocol/driver.js';
import { type ExclusionOptions, exclusionProtocol } from '../../lib/protocol/exclusion.js';
import { normalisedGain } from '../../lib/protocol/order-measure.js';
import { RandomStream } from '../../lib/random.js';
import type { Prompt, RankingInstance } from '../../lib/types.js';
import { answerBy, firstPrompt, generateBy, graded, judge, says } from './support.js';

const ten = graded(Array.from({ length: 10 }, (_, index) => (index === 3 ? 1 : 0)));
const value = (id: string): number => Number(id.slice(1));
const byValue = Array.from({ length: 10 }, (_, index) => `c${9 - index}`);

async function rank(options: ExclusionOptions, instance = ten) {
  const protocol = exclusionProtocol(options);
  return (await rankAll(protocol, [instance], generateBy(answerBy(protocol, instance, value))))[0];
}

describe('several a step', () => {
  it.each([
    [2, [10, 8, 6, 4, 2]],
    [3, [10, 7, 4]],
    [4, [10, 6, 2]],
    [99, [10]],
  ])('%i at a time', async (perStep, sizes) => {
    const result = await rank({ perStep });
    expect(result?.ranking).toEqual(byValue);
    expect(result?.steps.map(({ shownIds }) => shownIds.length)).toEqual(sizes);
  });

  it('asks for as many as it takes, and reads exactly that many', () => {
    const protocol = exclusionProtocol({ perStep: 3 });
    const prompt = firstPrompt(protocol, ten);
    expect(prompt.messages[1]?.content).toContain('Which 3 candidates are the LEAST likely');
    const [a, b, c] = [...prompt.labels.keys()] as [string, string, string];
    const ids = [a, b, c].map((label) => prompt.labels.get(label));
    const of = (text: string) => judge(protocol, ten, `x</think><answer>${text}</answer>`).answer;
    expect(of(`[${a}], [${b}], [${c}]`)).toMatchObject({ ok: true, ids });
    expect(of(`[${a}] > [${b}] > [${c}]`)).toMatchObject({ ok: true, ids });
    expect(of(`[${a}], [${b}]`)).toMatchObject({ reason: 'incomplete_list' });
    expect(of(`[${a}], [${b}], [${b}]`)).toMatchObject({ reason: 'duplicate_candidate' });
    expect(of(`[${a}], [${b}], [Z]`)).toMatchObject({ reason: 'unknown_candidate' });
    expect(of(`[${a}], [${b}], [${c}], [D]`)).toMatchObject({ ok: false });
    expect(of(a)).toMatchObject({ reason: 'incomplete_list' });
  });

  it('rewards each of them for what was left when it went', () => {
    const protocol = exclusionProtocol({ perStep: 2 });
    const four = graded([2, 1, 0, 0]);
    const prompt = protocol.promptFor(four, ['c0', 'c1', 'c2', 'c3'], 'k');
    const part = (...ids: string[]) => protocol.reward(four, prompt, { ok: true, ids, thought: '' }).value;
    expect(part('c2', 'c3')).toBe(1);
    expect(part('c3', 'c2')).toBe(1);
    expect(part('c2', 'c1')).toBe(0.5);
    expect(part('c1', 'c2')).toBe(0.5);
    expect(part('c1', 'c0')).toBe(0);
    expect(part('c2', 'c2')).toBe(-0.5);
    expect(part('c2')).toBe(-0.5);
  });

  it('excludes those shown last after a malformed answer', () => {
    const protocol = exclusionProtocol({ perStep: 2 });
    const start = protocol.start(ten);
    const last = [...(protocol.prompts(start)[0] as Prompt).labels.values()].slice(-2).reverse();
    const malformed = { ok: false, reason: 'empty', detail: '', format: { think: false, answer: false } } as const;
    expect(protocol.advance(start, [malformed]).excluded).toEqual(last);
  });
});

describe('stopping when the top is settled', () => {
  it('excludes until k are left, which keep their order', async () => {
    const result = await rank({ topK: 3 });
    expect(result?.ranking).toEqual(['c7', 'c8', 'c9', 'c6', 'c5', 'c4', 'c3', 'c2', 'c1', 'c0']);
    expect(result?.calls).toBe(7);
    expect((await rank({ topK: 3, perStep: 4 }))?.steps.map(({ shownIds }) => shownIds.length)).toEqual([10, 6]);
    expect((await rank({ topK: 10 }))?.calls).toBe(0);
  });
});

describe('picking the best next', () => {
  it('settles the top first', async () => {
    expect((await rank({ direction: 'best' }))?.ranking).toEqual(byValue);
    const three = await rank({ direction: 'best', topK: 3 });
    expect(three?.ranking).toEqual(['c9', 'c8', 'c7', 'c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6']);
    expect(three?.calls).toBe(3);
    expect((await rank({ direction: 'best', perStep: 4 }))?.ranking).toEqual(byValue);
  });

  it('asks for the most likely, and pays for it', () => {
    const protocol = exclusionProtocol({ direction: 'best' });
    const three = graded([0, 2, 1]);
    const prompt = firstPrompt(protocol, three);
    expect(protocol.name).toBe('selection/labels');
    expect(prompt.messages[1]?.content).toContain('Which one candidate is the MOST likely');
    const part = (id: string) => protocol.reward(three, prompt, { ok: true, ids: [id], thought: '' }).value;
    expect(['c0', 'c1', 'c2'].map(part)).toEqual([0, 1, 0]);
  });

  it('keeps the first shown after a malformed answer', async () => {
    const protocol = exclusionProtocol({ direction: 'best' });
    const first = [...firstPrompt(protocol, ten).labels.values()][0];
    const [result] = await rankAll(
      protocol,
      [ten],
      generateBy(() => says('')),
    );
    expect(result?.ranking?.[0]).toBe(first);
    expect(result?.malformed).toEqual({ empty: 9 });
  });
});

/** By the definitions, apart from what the reward uses. */
function ndcgAt(grades: readonly number[], k: number): number {
  const dcg = (list: readonly number[]): number =>
    list.slice(0, k).reduce((sum, grade, index) => sum + grade / Math.log2(index + 2), 0);
  return dcg(grades) / dcg(grades.toSorted((a, b) => b - a));
}
const reciprocalRank = (grades: readonly number[]): number => 1 / (grades.findIndex((grade) => grade > 0) + 1);

/** Runs a protocol with random answers and adds up the rewards of its steps. */
function walk(instance: RankingInstance, options: ExclusionOptions, seed: number) {
  const protocol = exclusionProtocol({ ...options, reward: 'potential' });
  const random = new RandomStream(seed, 'walk');
  let state = protocol.start(instance);
  let total = 0;
  while (!protocol.done(state)) {
    const [prompt] = protocol.prompts(state) as [Prompt];
    const left = prompt.labels.size - 1;
    const ids = random.sample([...prompt.labels.values()], Math.min(options.perStep ?? 1, left));
    const answer = { ok: true, ids, thought: '' } as const;
    const { value: reward, parts } = protocol.reward(instance, prompt, answer);
    expect(reward).toBe(parts.potential);
    expect(reward).toBeLessThanOrEqual(0);
    total += reward;
    state = protocol.advance(state, [answer]);
  }
  const grades = protocol.ranking(state).map((id) => instance.relevance[Number(id.slice(1))] as number);
  return { total, grades };
}

describe('the reward that says when', () => {
  const cases: readonly (readonly [string, RankingInstance])[] = [
    ['one relevant', ten],
    ['several', graded([0, 1, 0, 1, 0, 0, 1])],
    ['graded', graded([3, 0, 1, 2, 0, 0, 2, 0])],
  ];
  it.each(cases)('adds up to the measure of the final order - 1: %s', (_, instance) => {
    for (const direction of ['worst', 'best'] as const) {
      for (const perStep of [1, 3]) {
        for (let seed = 0; seed < 20; seed++) {
          const plain = walk(instance, { direction, perStep }, seed);
          expect(1 + plain.total).toBeCloseTo(ndcgAt(plain.grades, instance.candidates.length), 10);
          const cut = walk(instance, { direction, perStep, k: 3 }, seed);
          expect(1 + cut.total).toBeCloseTo(ndcgAt(cut.grades, 3), 10);
          const mrr = walk(instance, { direction, perStep, measure: 'reciprocal_rank' }, seed);
          expect(1 + mrr.total).toBeCloseTo(normalisedGain('reciprocal_rank', mrr.grades, instance.relevance), 10);
          if (instance === ten) expect(1 + mrr.total).toBeCloseTo(reciprocalRank(mrr.grades), 10);
        }
      }
    }
  });

  it('costs more the earlier the target is lost, by hand', () => {
    const protocol = exclusionProtocol({ reward: 'potential' });
    const lose = (size: number): number => {
      const shown = ['c3', ...Array.from({ length: size - 1 }, (_, index) => `c${index + (index > 2 ? 1 : 0)}`)];
      const prompt = protocol.promptFor(ten, shown, 'k');
      return protocol.reward(ten, prompt, { ok: true, ids: ['c3'], thought: '' }).value;
    };
    expect(lose(10)).toBeCloseTo(1 / Math.log2(11) - 1, 12);
    expect(lose(2)).toBeCloseTo(1 / Math.log2(3) - 1, 12);
    for (let size = 3; size <= 10; size++) expect(lose(size)).toBeLessThan(lose(size - 1));
  });

  it('pays less for no candidate than for the worst one', () => {
    const protocol = exclusionProtocol({ reward: 'potential', weights: { formatThink: 0, formatAnswer: 0 } });
    const worst = 1 / Math.log2(11) - 1;
    expect(judge(protocol, ten, 'nothing').reward.value).toBeCloseTo(worst - 0.5, 12);
    expect(judge(protocol, ten, 'x</think><answer>[Z]</answer>').reward.value).toBeCloseTo(worst - 0.5, 12);
    expect(
      judge(exclusionProtocol({ reward: 'potential', direction: 'best' }), ten, 'x</think><answer>[Z]</answer>').reward
        .value,
    ).toBeLessThan(-0.5);
  });
});

it('demonstrates the ends of an order', () => {
  const instance = graded([0, 1, 0, 0]);
  const order = ['c1', 'c2', 'c3', 'c0'];
  for (const [options, ids] of [
    [{}, ['c0']],
    [{ perStep: 2 }, ['c0', 'c3']],
    [{ direction: 'best' as const }, ['c1']],
    [{ direction: 'best' as const, perStep: 3 }, ['c1', 'c2', 'c3']],
  ] as const) {
    const protocol = exclusionProtocol(options);
    const prompt = firstPrompt(protocol, instance);
    const text = protocol.demonstrationText(instance, prompt, ' so', order);
    expect(protocol.parse(prompt, { text, stop: 'stop_token' })).toEqual({ ok: true, ids, thought: 'so' });
  }
});

it('refuses steps that cannot be', () => {
  for (const bad of [
    { perStep: 0 },
    { topK: 0 },
    { perStep: 2, compat: 'r1-ranker' as const },
    { direction: 'best' as const, compat: 'r1-ranker' as const },
  ]) {
    expect(() => exclusionProtocol(bad)).toThrow(expect.objectContaining({ code: 'ERR_PROTOCOL_OPTION' }));
  }
});
