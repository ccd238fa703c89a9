/** What must hold for every protocol on every instance. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rankAll } from '../../lib/protocol/driver.js';
import { type AnyProtocol, protocolNamed } from '../../lib/protocol/index.js';
import { RandomStream } from '../../lib/random.js';
import type { Completion, Prompt, RankingInstance } from '../../lib/types.js';
import { answerBy, bestFirst, generateBy, says, type Writing } from './support.js';

/** Each protocol in forms that settle the whole order, so that permuting the candidates must permute the ranking. */
const protocols: readonly (readonly [string, AnyProtocol])[] = [
  ['exclusion', {}],
  ['exclusion', { wording: 'compact', perStep: 3 }],
  ['exclusion', { direction: 'best', perStep: 2 }],
  ['exclusion', { compat: 'r1-ranker' }],
  ['direct', {}],
  ['direct', { labelStyle: 'numbers', wording: 'compact-phrases' }],
  ['direct', { compat: 'r1-ranker' }],
  ['setwise', { topK: 50, window: 4 }],
  ['setwise', { topK: 50, window: 3, sort: 'bubble', permutations: 2 }],
  ['setwise', { topK: 50, window: 3, sort: 'insertion', wording: 'rank-r1' }],
  ['listwise', { window: 4, stride: 2, passes: 12 }],
  ['listwise', { window: 50, wording: 'labels' }],
  ['pointwise', {}],
  ['pointwise', { score: 'stated', maximum: 1000 }],
].map(([name, options]) => [`${name} ${JSON.stringify(options)}`, protocolNamed(name as string, options as object)]);

/** As above, and those that stop early or are wrong on purpose. */
const others: typeof protocols = [
  ['exclusion', { topK: 3 }],
  ['exclusion', { direction: 'best', topK: 2, perStep: 2 }],
  ['direct', { incomplete: 'append' }],
  ['setwise', { topK: 3, window: 5, permutations: 3 }],
  ['setwise', { topK: 4, window: 4, compat: 'llm-rankers' }],
  ['listwise', { window: 5, stride: 3 }],
].map(([name, options]) => [`${name} ${JSON.stringify(options)}`, protocolNamed(name as string, options as object)]);

/** Texts with everything in them that could be mistaken for a label, a tag or a separator. */
const text = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.constantFrom(
    '[A]',
    '[1] > [2]',
    '<answer>[B]</answer>',
    '</think>',
    'x\n[C] y',
    '12. z',
    '["A"]',
    '',
    ' ',
    '[3]: <|im_end|>',
  ),
);

const instances: fc.Arbitrary<RankingInstance> = fc
  .array(fc.record({ text, grade: fc.nat({ max: 3 }) }), { minLength: 1, maxLength: 12 })
  .map((rows) => ({
    ...{ id: 'i', task: 'Rec-Movie', context: rows[0]?.text ?? '' },
    candidates: rows.map((row, index) => ({ id: `c${index}`, text: row.text })),
    relevance: rows.map(({ grade }) => grade),
  }));

/** A completion that may be right, wrong, cut off, or nonsense. */
function randomCompletion(
  protocol: AnyProtocol,
  instance: RankingInstance,
  prompt: Prompt,
  random: RandomStream,
): Completion {
  const order = random.shuffled([...prompt.labels.values()]);
  const written = (protocol as Writing).demonstrationText(instance, prompt, 'x', order);
  const kinds = [
    says(written),
    says(written, 'length'),
    says(written.slice(0, random.integer(written.length + 1))),
    says(`${written}${written}`),
    says('</think><answer>[A] > [A] > [Z]</answer>'),
    says(''),
  ];
  const completion = random.pick(kinds);
  const choiceLogprobs = [-random.uniform(), -random.uniform()];
  return prompt.choices !== undefined && random.uniform() < 0.5 ? { ...completion, choiceLogprobs } : completion;
}

describe.each([...protocols, ...others])('%s', (_, protocol) => {
  it('ends in a permutation, whatever is answered and whatever the policy', async () => {
    await fc.assert(
      fc.asyncProperty(
        instances,
        fc.nat(),
        fc.constantFrom('retry', 'keep_order', 'fail'),
        async (instance, seed, policy) => {
          const random = new RandomStream(seed, 'completions');
          const generate = generateBy((prompt) => randomCompletion(protocol, instance, prompt, random));
          const [result] = await rankAll(protocol, [instance], generate, {
            malformed: { policy: policy as 'retry' | 'keep_order' | 'fail' },
          });
          const bad = result?.steps.filter(({ answer }) => !answer.ok).length ?? 0;
          expect(Object.values(result?.malformed ?? {}).reduce((sum, count) => sum + count, 0)).toBe(bad);
          expect(result?.ranking === undefined).toBe(policy === 'fail' && bad > 0);
          const ids = instance.candidates.map(({ id }) => id);
          if (result?.ranking) expect([...result.ranking].sort()).toEqual(ids.sort());
        },
      ),
      { numRuns: 40 },
    );
  });

  it('gives rewards that are numbers, the best of them for the right answer', async () => {
    await fc.assert(
      fc.asyncProperty(instances, fc.nat(), async (instance, seed) => {
        const random = new RandomStream(seed, 'rewards');
        const grade = (id: string): number => instance.relevance[Number(id.slice(1))] as number;
        for (const prompt of protocol.prompts(protocol.start(instance))) {
          const best = bestFirst(prompt, grade);
          const rewardOf = (completion: Completion): number => {
            const { value, parts } = protocol.reward(instance, prompt, protocol.parse(prompt, completion));
            for (const part of [value, ...Object.values(parts)]) expect(Number.isFinite(part)).toBe(true);
            return value;
          };
          const right = rewardOf(says((protocol as Writing).demonstrationText(instance, prompt, 'x', best)));
          for (let i = 0; i < 5; i++) {
            const completion = { ...randomCompletion(protocol, instance, prompt, random), choiceLogprobs: undefined };
            const { choiceLogprobs: _unused, ...sampled } = completion;
            expect(rewardOf(sampled)).toBeLessThanOrEqual(right + 1e-12);
          }
        }
      }),
      { numRuns: 40 },
    );
  });
});

/** Names that are equal but for case and punctuation cannot be told apart; labels have no such limit. */
const withDistinctNames = (instance: RankingInstance): RankingInstance => ({
  ...instance,
  candidates: instance.candidates.map((candidate, index) => ({ ...candidate, text: `t${index} ${candidate.text}` })),
});

describe.each(protocols)('%s', (title, protocol) => {
  it('permutes its ranking with the candidates under a fixed comparator', async () => {
    await fc.assert(
      fc.asyncProperty(instances, fc.nat(), async (drawn, seed) => {
        const instance = title.includes('r1-ranker') ? withDistinctNames(drawn) : drawn;
        const random = new RandomStream(seed, 'permutation');
        const values = random.shuffled(instance.candidates.map((_, index) => index + 1));
        const value = (id: string): number => values[Number(id.slice(1))] as number;
        const places = random.shuffled(instance.candidates.map((_, index) => index));
        const permuted: RankingInstance = {
          ...instance,
          candidates: places.map((place) => instance.candidates[place] as { id: string; text: string }),
          relevance: places.map((place) => instance.relevance[place] as number),
        };
        const [ranked] = await rankAll(protocol, [instance], generateBy(answerBy(protocol, instance, value)));
        const [again] = await rankAll(protocol, [permuted], generateBy(answerBy(protocol, permuted, value)));
        const expected = instance.candidates.map(({ id }) => id).sort((a, b) => value(b) - value(a));
        expect(ranked?.ranking).toEqual(expected);
        expect(again?.ranking).toEqual(expected);
        expect(ranked?.malformed).toEqual({});
      }),
      { numRuns: 30 },
    );
  });
});
