import { describe, expect, it } from 'vitest';
import { bootstrapDifference, bootstrapMean } from '../../lib/eval/bootstrap.js';
import { chanceOf, chanceOfRightExclusion } from '../../lib/eval/chance.js';
import { formatTable, percent } from '../../lib/eval/format-table.js';
import { dcgAt, judgedRanking, ndcg } from '../../lib/eval/measures/index.js';
import { measure } from '../../lib/eval/named-measure.js';
import { RandomStream } from '../../lib/random.js';

describe('measures', () => {
  it('matches the closed forms for one relevant candidate at every rank', () => {
    for (let rank = 1; rank <= 20; rank++) {
      const grades = Array.from({ length: 20 }, (_, index) => (index + 1 === rank ? 1 : 0));
      expect(measure('MRR', grades)).toBe(1 / rank);
      for (const k of [1, 5, 10, 20]) {
        expect(measure(`Hit@${k}`, grades)).toBe(rank <= k ? 1 : 0);
        expect(measure(`nDCG@${k}`, grades)).toBeCloseTo(rank <= k ? 1 / Math.log2(rank + 1) : 0, 14);
      }
    }
  });

  // By hand: DCG = 3 + 2/log2(3) + 3/2 + 0 + 1/log2(6) + 2/log2(7) = 6.861126688593502;
  // ideal 3 + 3/log2(3) + 2/2 + 2/log2(5) + 1/log2(6) = 7.140995184095700.
  it('matches hand-computed graded values', () => {
    const grades = [3, 2, 3, 0, 1, 2];
    expect(dcgAt(grades, 6)).toBeCloseTo(6.861126688593502, 12);
    expect(ndcg(judgedRanking(grades), 6)).toBeCloseTo(6.861126688593502 / 7.1409951840957, 12);
    expect(dcgAt(grades, 3)).toBeCloseTo(3 + 2 / 1.584962500721156 + 1.5, 12);
    expect(measure('nDCG@2', [1, 3], 'exponential')).toBeCloseTo(
      (1 + 7 / 1.584962500721156) / (7 + 1 / 1.584962500721156),
      12,
    );
  });

  it('takes depths beyond the list, and lists without a relevant one', () => {
    expect(measure('nDCG@100', [0, 1])).toBeCloseTo(1 / Math.log2(3), 14);
    expect([measure('MRR', [0, 0]), measure('nDCG@5', [0, 0]), measure('Hit@1', [])]).toEqual([0, 0, 0]);
    expect(() => measure('NDCG@10', [1])).toThrow(expect.objectContaining({ code: 'ERR_MEASURE_UNKNOWN' }));
    expect(() => measure('Hit@0', [1])).toThrow(/no such measure/);
  });
});

/** Every order of `items`. */
function* permutations(items: readonly number[]): Generator<number[]> {
  if (items.length <= 1) yield items.slice();
  for (let i = 0; i < items.length; i++) {
    for (const rest of permutations(items.toSpliced(i, 1))) yield [items[i] as number, ...rest];
  }
}

describe('chance', () => {
  it('is H_n / n for the MRR of one relevant candidate', () => {
    const one = (n: number) => [1, ...new Array<number>(n - 1).fill(0)];
    const table = [5, 7, 9, 10, 20].map((n) => percent(chanceOf('MRR', one(n))));
    expect(table).toEqual(['45.67', '37.04', '31.43', '29.29', '17.99']);
    const ndcg = [5, 10, 20].map((k) => percent(chanceOf(`nDCG@${k}`, one(20))));
    expect(ndcg).toEqual(['14.74', '22.72', '35.20']);
  });

  it.each([[[1, 0]], [[1, 0, 0, 0, 0]], [[1, 1, 0, 0]], [[2, 1, 0, 0, 3, 0]], [[1, 1, 1]], [[3]]])(
    'is the mean over all orders of %j',
    (grades) => {
      for (const gain of ['linear', 'exponential'] as const) {
        for (const name of ['MRR', 'nDCG@1', 'nDCG@3', 'nDCG@10', 'Hit@1', 'Hit@3', 'Hit@10']) {
          let sum = 0;
          let count = 0;
          for (const order of permutations(grades)) {
            sum += measure(name, order, gain);
            count++;
          }
          expect(chanceOf(name, grades, gain), name).toBeCloseTo(sum / count, 12);
        }
      }
    },
  );

  it('counts the least relevant of those shown', () => {
    expect(chanceOfRightExclusion([1, 0, 0, 0])).toBe(0.75);
    expect(chanceOfRightExclusion([2, 1, 1])).toBe(2 / 3);
    expect(chanceOfRightExclusion([1, 1])).toBe(1);
    // R1-Ranker's floor over case sizes 2 to 20 (reference: 0.863).
    const sizes = Array.from({ length: 19 }, (_, index) => index + 2);
    const floor = sizes.map((size) => chanceOfRightExclusion([1, ...new Array<number>(size - 1).fill(0)]));
    expect(floor.reduce((sum, value) => sum + value, 0) / 19).toBeCloseTo(0.863, 3);
  });
});

describe('bootstrap', () => {
  it('covers the true mean about as often as it says', () => {
    let covered = 0;
    for (let trial = 0; trial < 300; trial++) {
      const random = new RandomStream(1, 'coverage', trial);
      const values = Array.from({ length: 60 }, () => random.normal());
      const { low, high } = bootstrapMean(values, { resamples: 200, seed: trial });
      if (low <= 0 && 0 <= high) covered++;
    }
    expect(covered / 300).toBeGreaterThan(0.9);
    expect(covered / 300).toBeLessThan(0.99);
  });

  it('is seeded, and exact for constant values', () => {
    const values = [0, 1, 0.9, 0.13, 0.57];
    expect(bootstrapMean(values, { seed: 1 })).toEqual(bootstrapMean(values, { seed: 1 }));
    expect(bootstrapMean(values, { seed: 1 })).not.toEqual(bootstrapMean(values, { seed: 2 }));
    expect(bootstrapMean([0.25, 0.25])).toEqual({ mean: 0.25, low: 0.25, high: 0.25 });
  });

  it('pairs differences, so that a constant gain is certain', () => {
    const before = Array.from({ length: 30 }, (_, index) => index / 30);
    const after = before.map((value) => value + 0.125);
    const gain = bootstrapDifference(after, before);
    expect(gain.low).toBeCloseTo(0.125, 12);
    expect(gain.high).toBeCloseTo(0.125, 12);
  });

  it('refuses what has no interval', () => {
    for (const run of [
      () => bootstrapMean([]),
      () => bootstrapMean([1], { resamples: 0 }),
      () => bootstrapMean([1], { confidence: 1 }),
      () => bootstrapDifference([1, 2], [1]),
    ]) {
      expect(run).toThrow(expect.objectContaining({ code: 'ERR_BOOTSTRAP' }));
    }
  });
});

describe('formatTable', () => {
  it('aligns by width, wide and combining characters too', () => {
    const text = formatTable(
      [{ title: 'row' }, { title: 'MRR', align: 'right' }],
      [['日本', percent(0.5)], ['e\u0301', '7'], ['only']],
    );
    expect(text).toBe('row     MRR\n----  -----\n日本  50.00\ne\u0301         7\nonly\n');
  });
});
