import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadQrels, loadRun } from '../../lib/data/index.js';
import { answer, fixtures, readGoldens } from './trec-eval-goldens.js';

const goldens = readGoldens('goldens.jsonl');
const real = fileURLToPath(new URL('../../../shared/data/passage/trec-dl/', import.meta.url));
const isThere = existsSync(real);
if (!isThere) console.log('skipped: no development data, so real files are not read');

/** trec_eval divides 0 by 0 where -J leaves nothing of a ranking, and the mean then is no number either; ours is 0 there. */
const isNumber = (line: string): boolean => !line.endsWith('nan');

describe('trec_eval, line by line', () => {
  it.each(goldens)('$data, version $version, $arguments', async (golden) => {
    const qrels = await loadQrels(join(fixtures, `${golden.data}.qrels`));
    const run = await loadRun(join(fixtures, `${golden.data}.run`));
    const expected = golden.output.split('\n');
    const received = answer(qrels, run, golden).split('\n');
    expect(received.length).toBe(expected.length);
    const comparable = expected.flatMap((line, index) => (isNumber(line) ? [index] : []));
    expect(comparable.map((index) => received[index])).toEqual(comparable.map((index) => expected[index]));
    expect(received.join('\n')).not.toMatch(/nan/i);
    if (!golden.arguments.includes('-J')) expect(comparable.length).toBe(expected.length);
  });

  it('differs between 9 and 10 where it should', () => {
    const ofTies = goldens.filter(({ data, arguments: args }) => data === 'ties' && !args.includes('-J'));
    const queryLines = (version: number) =>
      ofTies
        .find((golden) => golden.version === version && golden.arguments[0] === '-q')
        ?.output.match(/^ndcg_cut_5 .*float32.*$/m)?.[0];
    expect(queryLines(9)).toBeDefined();
    expect(queryLines(9)).not.toBe(queryLines(10));
  });
});

describe('runs of TREC Deep Learning', () => {
  const files = { dl19: 'trec_results_dl19.txt', dl21: 'trec_results_dl21.txt' };
  it.skipIf(!isThere)('print what trec_eval prints', async () => {
    const ofReal = readGoldens('goldens-trec-dl.jsonl');
    for (const [year, name] of Object.entries(files)) {
      const qrels = await loadQrels(join(real, `qrels.${year}-passage.txt`));
      const run = await loadRun(join(real, name));
      const ofYear = ofReal.filter(({ data }) => data === year);
      expect(ofYear.length).toBe(7);
      for (const golden of ofYear) expect(answer(qrels, run, golden), golden.arguments.join(' ')).toBe(golden.output);
    }
  });

  it.skipIf(!isThere)('give BM25 its published nDCG@10', () => {
    const overall = (year: string) =>
      readGoldens('goldens-trec-dl.jsonl')
        .filter(({ data, version, arguments: args }) => data === year && version === 9 && args[0] === '-m')
        .map(({ output }) => output.match(/^ndcg_cut_10 +\tall\t(.*)$/m)?.[1]);
    expect([overall('dl19'), overall('dl21')]).toEqual([['0.5058'], ['0.4458']]);
  });
});
