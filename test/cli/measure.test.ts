import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { errorCode, makeFolder, removeFolder, winnow } from './support.js';

const folder = makeFolder();
afterAll(() => removeFolder(folder));
const file = (name: string, content: string): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};

const qrels = file('qrels', 'q1 0 a 2\nq1 0 b 0\nq1 0 c 1\nq2 0 a 1\nq3 0 a 1\n');
const first = file(
  'first.run',
  'q1 Q0 b 1 3 one\nq1 Q0 a 2 2 one\nq1 Q0 x 3 1 one\nq2 Q0 x 1 2 one\nq2 Q0 a 2 1 one\n',
);
const second = file('second.run', 'q1 Q0 a 1 3 two\nq1 Q0 c 2 2 two\nq2 Q0 a 1 2 two\n');
const real = fileURLToPath(new URL('../../../shared/data/passage/trec-dl/', import.meta.url));
const isThere = existsSync(real);
if (!isThere) console.log('skipped: no development data, so real runs are not measured');

describe('winnow measure', () => {
  it('prints the official lines of trec_eval', () => {
    const { status, stdout, stderr } = winnow(['measure', '--qrels', qrels, '--run', first]);
    expect([status, stderr]).toEqual([0, '']);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.length).toBe(30);
    expect(lines.slice(0, 6)).toEqual([
      'runid                 \tall\tone',
      'num_q                 \tall\t2',
      'num_ret               \tall\t5',
      'num_rel               \tall\t3',
      'num_rel_ret           \tall\t2',
      'map                   \tall\t0.3750',
    ]);
    expect(lines.at(-1)).toBe('P_1000                \tall\t0.0010');
  });

  it('takes the options of trec_eval', () => {
    const of = (...flags: string[]) =>
      winnow(['measure', '--qrels', qrels, '--run', first, '-m', 'recip_rank', ...flags]).stdout.replace(/ +\t/g, ' ');
    expect(of('-q')).toBe('recip_rank q1\t0.5000\nrecip_rank q2\t0.5000\nrecip_rank all\t0.5000\n');
    expect(of('--per-query', '--no-summary', '--judged-only')).toBe('recip_rank q1\t0.5000\nrecip_rank q2\t1.0000\n');
    // Relevant at level 2 is `a` of q1 alone, at rank 2 of the two that are left; q3 is missing.
    expect(of('--complete', '--level', '2', '--max-retrieved', '2')).toBe('recip_rank all\t0.1667\n');
  });

  it('reads the run from the standard input, and the formats of BEIR and MS MARCO', () => {
    const beir = file('qrels.tsv', 'query-id\tcorpus-id\tscore\nq1\ta\t1\n');
    const args = ['measure', '--qrels', beir, '--qrels-format', 'beir', '--run', '-', '-m', 'MRR@10'];
    const { stdout } = winnow([...args, '--run-format', 'msmarco'], 'q1\tb\t1\nq1\ta\t2\n');
    expect(stdout).toBe('recip_rank_cut_10     \tall\t0.5000\n');
  });

  it('compares runs', () => {
    const { status, stdout } = winnow(['measure', '--qrels', qrels, '--run', first, second, '-m', 'map,P_1']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/second\.run +map +0\.3750 +1\.0000 +\+0\.6250 \[\+0\.5000, \+0\.7500\] +2\/0/);
    expect(stdout).toMatch(/Holm corrects .* these 2 comparisons/);
    const json = JSON.parse(
      winnow(['measure', '--qrels', qrels, '--run', first, '--run', second, '--json', '-q']).stdout,
    );
    expect(json.runs.map(({ tag }: { tag: string }) => tag)).toEqual(['one', 'two']);
    expect(json.runs[1].perQuery.q2).toEqual({ map: 1, recip_rank: 1, ndcg_cut_10: 1 });
    expect(json.comparisons.length).toBe(3);
    expect(json.comparisons[0]).toMatchObject({ run: 1, measure: 'map', wins: 2, randomisation: 0.5, holm: 1 });
  });

  it('fails on one line', () => {
    const of = (...args: string[]) => errorCode(winnow(['measure', '--qrels', qrels, ...args]));
    expect(of('--run', first, '-m', 'nDGC@10')).toBe('ERR_MEASURE_UNKNOWN');
    expect(of('--run', first, second, '-q')).toBe('ERR_USAGE');
    expect(of('--run', file('twice.run', 'q1 Q0 a 1 2 t\nq1 Q0 a 2 1 t\n'))).toBe('ERR_DATA_RUN');
    const headed = file('headed', 'qid iter doc rel\nq1 0 a 1\n');
    expect(errorCode(winnow(['measure', '--qrels', headed, '--run', first]))).toBe('ERR_DATA_QRELS');
  });

  it.skipIf(!isThere)('gives BM25 of TREC Deep Learning its published nDCG@10', () => {
    for (const [year, expected] of [
      ['19', '0.5058'],
      ['21', '0.4458'],
    ]) {
      const paths = ['--qrels', `${real}qrels.dl${year}-passage.txt`, '--run', `${real}trec_results_dl${year}.txt`];
      expect(winnow(['measure', ...paths, '-m', 'ndcg_cut_10']).stdout).toBe(
        `ndcg_cut_10           \tall\t${expected}\n`,
      );
    }
  });
});
