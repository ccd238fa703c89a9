import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { evaluateBaselines, readBaselineData } from '../../lib/cli/baselines.js';
import { loadInstances, writeInstances } from '../../lib/data/index.js';
import { buildTask } from '../../lib/tasks/index.js';
import type { RankingInstance } from '../../lib/types.js';
import { errorCode, makeFolder, removeFolder, winnow } from './support.js';

const folder = makeFolder();
afterAll(() => removeFolder(folder));

function routed(number: number): RankingInstance {
  const right = number % 2;
  return {
    id: `q${number}`,
    task: 'Router-Balance',
    context: `Objective\n${right === 0 ? 'cities' : 'sums'} ${number}`,
    candidates: ['a-7b', 'b-70b'].map((id) => ({ id, text: id })),
    relevance: [right === 0 ? 1 : 0, right],
    meta: {
      query: `${right === 0 ? 'cities' : 'sums'} ${number}`,
      scores: { 'a-7b': 1 - right, 'b-70b': right },
      costs: { 'a-7b': 1, 'b-70b': 2 },
    },
  };
}

describe('baselines beside a data file', () => {
  it('for routing learn from train.jsonl, never from the file that is measured', async () => {
    const [train, test] = [join(folder, 'train.jsonl'), join(folder, 'test.jsonl')];
    await writeInstances(train, [0, 1, 2, 3].map(routed));
    await writeInstances(test, [10, 11].map(routed));
    const table = evaluateBaselines(await loadInstances(test), await readBaselineData(test, 'Router-Balance'), 1);
    const mrr = Object.fromEntries(Object.entries(table).map(([name, results]) => [name, results[0]?.mean]));
    expect(mrr).toMatchObject({
      'original order': 0.75,
      'nearest queries': 1,
      'largest model': 0.75,
      'cheapest model': 0.75,
    });
    const own = evaluateBaselines(await loadInstances(train), await readBaselineData(train, 'Router-Balance'), 1);
    expect(Object.keys(own)).toEqual(['original order', 'BM25']);
  });

  it('for users learn from train-sequences.jsonl', async () => {
    const output = join(folder, 'users');
    await buildTask('synthetic', { output, users: 24 });
    const path = join(output, 'test.jsonl');
    const table = evaluateBaselines(await loadInstances(path), await readBaselineData(path, 'synthetic'), 1);
    const names = ['original order', 'BM25', 'popularity', 'item cosine', 'co-occurrence', 'BPR'];
    expect(Object.keys(table)).toEqual(names);
  });
});

describe('winnow data build', () => {
  it('refuses options of another task, and unknown choices', () => {
    const output = join(folder, 'refused');
    const wrong = winnow(['data', 'build', 'synthetic', '--output', output, '--negatives', '3']);
    expect(errorCode(wrong)).toBe('ERR_TASK_OPTION');
    expect(wrong.stderr).toContain('negatives does not apply to synthetic');
    expect(winnow(['data', 'build', 'Router-Cost', '--output', output, '--missing', 'all']).status).not.toBe(0);
    expect(errorCode(winnow(['data', 'build', 'Passage-5', '--output', output]))).toBe('ERR_DATA_SOURCE');
  });
});
