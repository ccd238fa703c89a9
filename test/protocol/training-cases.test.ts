import { describe, expect, it } from 'vitest';
import { exclusionProtocol } from '../../lib/protocol/exclusion.js';
import type { RankingInstance } from '../../lib/types.js';

function instanceWith(relevance: readonly number[], id = 'one'): RankingInstance {
  return {
    id,
    task: 'Rec-Movie',
    context: 'Past',
    candidates: relevance.map((_, index) => ({ id: `c${index}`, text: `Movie ${index}` })),
    relevance,
  };
}

const protocol = exclusionProtocol();

describe('trainingCases', () => {
  it("expands into one case per size from 2 to n, as R1-Ranker's 19 of 20", () => {
    const instance = instanceWith([...new Array<number>(19).fill(0), 1]);
    const cases = protocol.trainingCases(instance, { sizes: 'all', seed: 1 });
    expect(cases.map(({ candidateIds }) => candidateIds.length)).toEqual(Array.from({ length: 19 }, (_, i) => i + 2));
    expect(new Set(cases.map(({ id }) => id)).size).toBe(19);
    for (const { candidateIds, prompt } of cases) {
      expect(candidateIds).toContain('c19');
      expect(new Set(candidateIds).size).toBe(candidateIds.length);
      expect([...prompt.labels.values()].sort()).toEqual([...candidateIds].sort());
    }
  });

  it('takes listed sizes, and drawn ones, at most all candidates', () => {
    const instance = instanceWith([1, 0, 0, 0]);
    const sizes = (wanted: Parameters<typeof protocol.trainingCases>[1]['sizes']): number[] =>
      protocol.trainingCases(instance, { sizes: wanted, seed: 3 }).map(({ candidateIds }) => candidateIds.length);
    expect(sizes([2, 3, 9])).toEqual([2, 3, 4]);
    const drawn = sizes({ minimum: 2, maximum: 8, count: 300 });
    for (const size of [2, 3, 4]) {
      expect(Math.abs(drawn.filter((other) => other === size).length - 100)).toBeLessThan(30);
    }
    for (const wrong of [[], [1], [2.5], { minimum: 3, maximum: 2, count: 1 }, { minimum: 2, maximum: 2, count: 0 }]) {
      expect(() => sizes(wrong)).toThrow(expect.objectContaining({ code: 'ERR_PROTOCOL_SIZES' }));
    }
  });

  it('draws the others and the place of the target evenly', () => {
    const instance = instanceWith([1, 0, 0, 0, 0]);
    const cases = protocol.trainingCases(instance, { sizes: new Array<number>(1000).fill(3), seed: 1 });
    const drawn = new Map<string, number>();
    const places = [0, 0, 0];
    for (const { candidateIds, prompt } of cases) {
      for (const id of candidateIds) drawn.set(id, (drawn.get(id) ?? 0) + 1);
      const place = [...prompt.labels.values()].indexOf('c0');
      places[place] = (places[place] ?? 0) + 1;
    }
    expect(drawn.get('c0')).toBe(1000);
    for (const id of ['c1', 'c2', 'c3', 'c4']) expect(Math.abs((drawn.get(id) ?? 0) - 500)).toBeLessThan(60);
    for (const count of places) expect(Math.abs(count - 333)).toBeLessThan(60);
  });

  it('always holds a relevant candidate and a less relevant one, with several and graded ones too', () => {
    const instance = instanceWith([2, 1, 1, 0, 1]);
    const cases = protocol.trainingCases(instance, { sizes: new Array<number>(200).fill(2), seed: 1 });
    const pairs = new Set(cases.map(({ candidateIds }) => [...candidateIds].sort().join(' ')));
    for (const { candidateIds } of cases) {
      const grades = candidateIds.map((id) => instance.relevance[Number(id.slice(1))] as number);
      expect(Math.max(...grades)).toBeGreaterThan(Math.min(...grades));
    }
    expect(pairs).toContain('c0 c1');
    expect(pairs).toContain('c3 c4');
    expect(() => protocol.trainingCases(instanceWith([1, 1]), { sizes: 'all', seed: 1 })).toThrow(
      expect.objectContaining({ code: 'ERR_PROTOCOL_CASE' }),
    );
  });

  it('depends on the seed and the instance alone', () => {
    const options = { sizes: 'all', seed: 4 } as const;
    const instance = instanceWith([0, 0, 1, 0, 0, 0]);
    expect(protocol.trainingCases(instance, options)).toEqual(protocol.trainingCases(instance, options));
    const ids = (of: RankingInstance, seed: number) =>
      protocol.trainingCases(of, { sizes: 'all', seed }).map(({ candidateIds }) => candidateIds);
    expect(ids(instance, 4)).not.toEqual(ids(instance, 5));
    expect(ids(instance, 4)).not.toEqual(ids({ ...instance, id: 'two' }, 4));
    expect(ids(instance, 4)).toEqual(ids({ ...instance, context: 'other' }, 4));
  });
});
