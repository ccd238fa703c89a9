import { afterAll, describe, expect, it } from 'vitest';
import { evaluateScorer, popularityScorer, sasrecScorer } from '../../lib/eval/index.js';
import { openSession } from '../../lib/native/index.js';
import { RandomStream } from '../../lib/random.js';
import type { RankingInstance } from '../../lib/types.js';

const session = openSession({ device: 'cpu', threads: 1 });
afterAll(() => session.close());

const items = Array.from({ length: 24 }, (_, index) => `i${index}`);
const walk = (start: number, length: number): string[] =>
  Array.from({ length }, (_, step) => items[(start + step) % items.length] as string);

/** Users walk along a ring of items: what comes next follows from the last item, and all items are equally popular. */
const users = Array.from({ length: 48 }, (_, user) => walk(user, 8));
const instances = Array.from({ length: 20 }, (_, user): RankingInstance => {
  const random = new RandomStream(7, 'instances', user);
  const [past, target] = [walk(user + 3, 5), items[(user + 8) % items.length] as string];
  const others = random.sample(
    items.filter((item) => item !== target && !past.includes(item)),
    7,
  );
  const ids = random.shuffled([target, ...others]);
  return {
    id: `t${user}`,
    task: 'Rec-Movie',
    context: '',
    candidates: ids.map((id) => ({ id, text: id })),
    relevance: ids.map((id) => (id === target ? 1 : 0)),
    meta: { historyItemIds: past },
  };
});

describe('SASRec', () => {
  const small = { width: 32, steps: 120, batch: 16, learningRate: 5e-3, seed: 1 };

  it('learns what follows what, which popularity cannot, and is seeded', async () => {
    const scorer = await sasrecScorer(session, users, instances, small);
    const mrr = (one: typeof scorer): number => evaluateScorer(one, instances, { measures: ['MRR'] })[0]?.mean ?? 0;
    expect(mrr(scorer)).toBeGreaterThan(0.95);
    expect(mrr(popularityScorer(users))).toBeLessThan(0.6);
    const again = await sasrecScorer(session, users, instances, small);
    expect(again(instances[0] as RankingInstance)).toEqual(scorer(instances[0] as RankingInstance));
  });

  it('scores unknown items least, and needs something to learn from', async () => {
    const foreign = {
      ...(instances[0] as RankingInstance),
      candidates: [
        { id: 'new', text: '' },
        { id: 'i1', text: '' },
      ],
    };
    const scorer = await sasrecScorer(session, users, [foreign], { ...small, steps: 1 });
    expect(scorer(foreign)).toEqual([Number.NEGATIVE_INFINITY, expect.any(Number)]);
    await expect(sasrecScorer(session, [['a']], instances)).rejects.toMatchObject({ code: 'ERR_BASELINE' });
  });
});
