import { describe, expect, it } from 'vitest';
import type { Qrels, Run } from '../../lib/data/index.js';
import { compareRuns } from '../../lib/eval/compare-runs.js';
import { randomisationTest } from '../../lib/eval/significance.js';
import { compareBytes, formatDecimal, formatTrecEval, measureRun, selectMeasures } from '../../lib/eval/trec/index.js';

const qrelsOf = (queries: Record<string, Record<string, number>>): Qrels =>
  new Map(Object.entries(queries).map(([id, grades]) => [id, new Map(Object.entries(grades))]));

/** Documents best first. */
const runOf = (queries: Record<string, readonly string[]>): Run => ({
  tag: 'test',
  queries: new Map(
    Object.entries(queries).map(([id, documents]) => [
      id,
      documents.map((documentId, index) => ({ documentId, score: -index, line: index + 1 })),
    ]),
  ),
});

const names = (...list: string[]) => selectMeasures(list).map(({ name }) => name);

describe('names of measures', () => {
  it('are those of trec_eval, in its order, each once', () => {
    expect(names('ndcg_cut.10', 'map', 'P_5', 'map')).toEqual(['map', 'P_5', 'ndcg_cut_10']);
    expect(names('ndcg_cut.10', '5', 'map')).toEqual(['map', 'ndcg_cut_5', 'ndcg_cut_10']);
    expect(names('iprec_at_recall.0', '.1', '1')).toEqual([
      'iprec_at_recall_0.00',
      'iprec_at_recall_0.10',
      'iprec_at_recall_1.00',
    ]);
    expect(names('success')).toEqual(['success_1', 'success_5', 'success_10']);
    expect(names('set_F.0.5', 'set')).toContain('set_F_0.5');
    expect(names('official').length).toBe(30);
  });

  it('may be those of papers', () => {
    expect(names('nDCG@10', 'nDCG-exp@10', 'MRR@10', 'Hit@1', 'AP@100', 'R@5', 'P@3', 'Judged@10')).toEqual([
      'P_3',
      'recall_5',
      'ndcg_cut_10',
      'map_cut_100',
      'success_1',
      'ndcg_exp_cut_10',
      'recip_rank_cut_10',
      'judged_10',
    ]);
  });

  it.each([
    '',
    'nDCG',
    'ndcg_cut.0',
    'ndcg_cut.1.5',
    'P.x',
    'P.',
    'map.5',
    'iprec_at_recall.1.5',
    '10',
    'nDCG@0',
    'toString@5',
    'constructor',
  ])('that do not exist are errors: %j', (name) => {
    expect(() => selectMeasures([name])).toThrow(expect.objectContaining({ code: 'ERR_MEASURE_UNKNOWN' }));
  });
});

describe('numbers', () => {
  it('round exact ties to the even digit, as C does', () => {
    expect([0.03125, 0.09375, 0.15625, 0.21875, 1 + 1 / 32].map(formatDecimal)).toEqual([
      '0.0312',
      '0.0938',
      '0.1562',
      '0.2188',
      '1.0312',
    ]);
    expect([-0.03125, -0.09375, 0.5, 1 / 3, 0.99995, 12345].map(formatDecimal)).toEqual([
      '-0.0312',
      '-0.0938',
      '0.5000',
      '0.3333',
      '1.0000',
      '12345.0000',
    ]);
  });
});

describe('byte order', () => {
  it('is that of UTF-8, not of UTF-16', () => {
    const words = [
      '',
      'a',
      'aa',
      'b',
      'é',
      '\ud7ff',
      '\ue000',
      '\uffee',
      '\u{10000}',
      '\u{1f600}',
      '\u{1f600}a',
      'Z',
      '10',
      '9',
    ];
    const expected = words.slice().sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(words.slice().sort(compareBytes)).toEqual(expected);
  });
});

describe('measures that trec_eval lacks', () => {
  const qrels = qrelsOf({ q: { a: 3, b: 0, c: 1, d: 2, e: -1 } });
  const run = runOf({ q: ['x', 'b', 'a', 'e', 'c'] });
  const value = (name: string, level = 1) => measureRun(qrels, run, { measures: [name], level }).columns[0]?.overall;

  it('match values by hand', () => {
    // Gains 7 at rank 3 and 1 at rank 5; ideal 7, 3, 1.
    const ideal = 7 + 3 / Math.log2(3) + 1 / 2;
    expect(value('ndcg_exp')).toBeCloseTo((7 / 2 + 1 / Math.log2(6)) / ideal, 14);
    expect(value('ndcg_exp_cut_3')).toBeCloseTo(7 / 2 / ideal, 14);
    expect([value('MRR@2'), value('MRR@3'), value('MRR@10'), value('MRR@10', 4)]).toEqual([0, 1 / 3, 1 / 3, 0]);
    expect([value('Hit@2'), value('Hit@3')]).toEqual([0, 1]);
    // x is in no judgement, e is in the pool and unjudged.
    expect([value('judged_1'), value('judged_3'), value('judged_4'), value('judged_100')]).toEqual([
      0,
      2 / 3,
      0.5,
      0.6,
    ]);
  });

  it('know no exponent for levels that do not count', () => {
    expect(value('ndcg_exp', 3)).toBe(value('ndcg_exp', 1));
  });
});

describe('measuring a run', () => {
  const qrels = qrelsOf({ b: { x: 1 }, a: { y: 1 }, c: { z: 2 } });

  it('counts the queries of both, or all judged ones', () => {
    const run = runOf({ b: ['x'], a: ['x', 'y'], other: ['x'] });
    const both = measureRun(qrels, run, { measures: ['num_q', 'recip_rank'] });
    expect(both.queryIds).toEqual(['a', 'b']);
    expect(both.columns.map(({ overall }) => overall)).toEqual([2, 0.75]);
    const all = measureRun(qrels, run, { measures: ['num_q', 'recip_rank'], complete: true });
    expect(all.columns.map(({ overall }) => overall)).toEqual([3, 0.5]);
    expect([...all.missing]).toEqual(['c']);
    expect([...formatTrecEval(all, { perQuery: true, overall: false })].length).toBe(2);
  });

  it('refuses runs without a common query and values out of range', () => {
    expect(() => measureRun(qrels, runOf({ other: ['x'] }), { complete: true })).toThrow(/no query in common/);
    for (const options of [{ level: -1 }, { level: 0.5 }, { maxRetrieved: 0 }]) {
      expect(() => measureRun(qrels, runOf({ a: ['y'] }), options)).toThrow(
        expect.objectContaining({ code: 'ERR_MEASURE' }),
      );
    }
  });
});

describe('comparing runs', () => {
  const ids = Array.from({ length: 12 }, (_, index) => `q${index}`);
  const qrels = qrelsOf(Object.fromEntries(ids.map((id) => [id, { good: 1, bad: 0 }])));
  const measured = (isGood: (index: number) => boolean, left: readonly string[] = ids) =>
    measureRun(
      qrels,
      runOf(Object.fromEntries(left.map((id, index) => [id, isGood(index) ? ['good', 'bad'] : ['bad', 'good']]))),
      { measures: ['num_q', 'recip_rank', 'gm_map', 'P_1'] },
    );

  it('pairs queries and corrects over all comparisons', () => {
    const [first, same, better] = [() => false, () => false, (index: number) => index < 9].map((one) => measured(one));
    const comparisons = compareRuns([first, same, better] as never);
    expect(comparisons.map(({ run, measure }) => [run, measure])).toEqual([
      [1, 'recip_rank'],
      [1, 'P_1'],
      [2, 'recip_rank'],
      [2, 'P_1'],
    ]);
    expect(comparisons[0]).toMatchObject({ baseline: 0.5, value: 0.5, wins: 0, losses: 0, tTest: 1, holm: 1 });
    expect(comparisons[3]).toMatchObject({ baseline: 0, value: 0.75, wins: 9, losses: 0, difference: { mean: 0.75 } });
    // Nine equal gains: of the 2^9 sign changes two are as extreme; four comparisons.
    expect(comparisons[3]?.randomisation).toBe(2 / 512);
    expect(comparisons[3]?.holm).toBe((4 * 2) / 512);
    expect(randomisationTest([1, 0], [0, 0])).toBe(1);
  });

  it('refuses other queries, one run, and counts alone', () => {
    const all = measured(() => true);
    const error = { code: 'ERR_MEASURE' };
    expect(() => compareRuns([all, measured(() => true, ids.slice(1))])).toThrow(expect.objectContaining(error));
    expect(() => compareRuns([all])).toThrow(expect.objectContaining(error));
    const counts = measureRun(qrels, runOf({ q0: ['good'] }), { measures: ['num_q'] });
    expect(() => compareRuns([counts, counts])).toThrow(expect.objectContaining(error));
  });
});
