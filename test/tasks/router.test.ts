import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readRoutingFolder } from '../../lib/data/routing-folder.js';
import { makeRouterTask, type RouterOptions, type RouterTaskName } from '../../lib/tasks/index.js';
import type { RankingInstance } from '../../lib/types.js';

const shared = join(import.meta.dirname, '../../../shared/data/router');
const scratch = mkdtempSync(join(tmpdir(), 'winnow-router-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function folderOf(files: Readonly<Record<string, string | object>>): string {
  const folder = mkdtempSync(join(scratch, 'source-'));
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content, undefined, 1));
  }
  return folder;
}

const csvHeader = 'task_id,task_description,query,llm,effect,cost\n';
/** Ten queries x three models; a is right on even queries, b on every third one, c always; costs 0, 0.5, 1. */
const graphrouter =
  csvHeader +
  Array.from({ length: 10 }, (_, query) =>
    [
      ['a', query % 2 === 0 ? 1 : 0, 0],
      ['b', query % 3 === 0 ? 1 : 0, 0.5],
      ['c', 1, 1],
    ]
      .map(([model, effect, cost]) => `gsm8k,"maths, hard","what is ""${query}""?",${model},${effect},${cost}\n`)
      .join(''),
  ).join('');
const descriptions = {
  a: { feature: 'small\nand quick', input_price: 0.2, output_price: 0.2 },
  b: { feature: 'middle', input_price: 0.6, output_price: 0.8 },
};

async function build(
  name: RouterTaskName,
  files: Readonly<Record<string, string | object>>,
  options: Partial<RouterOptions> = {},
) {
  const task = makeRouterTask(name, await readRoutingFolder(folderOf(files)), { seed: 1, ...options });
  return { ...task, all: [...task.train, ...task.test] };
}

const rightOf = ({ candidates, relevance }: RankingInstance): string[] =>
  candidates.flatMap(({ id }, index) => (relevance[index] === 1 ? [id] : [])).sort();

describe('GraphRouter tables', () => {
  it('give several right answers where models tie, and the objective in the context', async () => {
    const { all, card } = await build('Router-Performance', {
      'router_data.csv': graphrouter,
      'llm.json': descriptions,
    });
    const byQuery = new Map(all.map((instance) => [String(instance.meta?.query), instance]));
    expect(rightOf(byQuery.get('what is "1"?') as RankingInstance)).toEqual(['c']);
    expect(rightOf(byQuery.get('what is "2"?') as RankingInstance)).toEqual(['a', 'c']);
    expect(rightOf(byQuery.get('what is "3"?') as RankingInstance)).toEqual(['b', 'c']);
    // Queries 0 and 6 are all right: nothing can be learned from them.
    expect([...byQuery.keys()].sort()).toEqual([1, 2, 3, 4, 5, 7, 8, 9].map((n) => `what is "${n}"?`));
    expect(card).toMatchObject({
      counts: { queries: 10, models: 3, queriesWithAllTiedDropped: 2, candidatesLeftOut: 0 },
      ties: { instancesWithSeveralBest: 5 },
      checks: { queriesOnBothSides: 0 },
    });
    const some = byQuery.get('what is "1"?') as RankingInstance;
    expect(some.context).toBe(
      'Objective: the best answer, whatever it costs (score = 1 x quality - 0 x cost, both from 0 to 1)\nwhat is "1"?',
    );
    const texts = Object.fromEntries(some.candidates.map(({ id, text }) => [id, text]));
    expect(texts).toEqual({
      a: 'a: $0.2 per million tokens. small and quick',
      b: 'b: $0.6 in and $0.8 out per million tokens. middle',
      c: 'c',
    });
    expect(new Set(all.map(({ candidates }) => candidates.map(({ id }) => id).join('')))).not.toHaveLength(1);
  });

  it('weigh quality and cost as the task, or as asked', async () => {
    const files = { 'router_data.csv': graphrouter };
    const rightFor = async (name: RouterTaskName, options: Partial<RouterOptions> = {}) => {
      const { all } = await build(name, files, { allTied: 'keep', ...options });
      const right = new Map(all.map((instance) => [String(instance.meta?.query), rightOf(instance).join('')]));
      return Array.from({ length: 10 }, (_, n) => right.get(`what is "${n}"?`)).join(' ');
    };
    expect(await rightFor('Router-Performance')).toBe('abc c ac bc ac c abc c ac bc');
    // Balance: a right 0.5, a wrong 0, b right 0.25, b wrong -0.25, c 0: a wrong ties with c unless b is right.
    expect(await rightFor('Router-Balance')).toBe('a ac a b a ac a ac a b');
    expect(await rightFor('Router-Cost')).toBe('a a a a a a a a a a');
    expect(await rightFor('Router-Cost', { effectWeight: 1, costWeight: 0.1 })).toBe('a c a b a c a c a b');
  });

  it('split alike for all three objectives, equal queries together', async () => {
    const twice = graphrouter + graphrouter.slice(csvHeader.length).replaceAll('what is', 'WHAT  is');
    const sides = await Promise.all(
      (['Router-Performance', 'Router-Balance', 'Router-Cost'] as const).map(async (name) => {
        const { test, train } = await build(name, { 'router_data.csv': twice }, { allTied: 'keep' });
        expect([train.length, test.length]).toEqual([16, 4]);
        return test.map(({ meta }) => String(meta?.query).toLowerCase().replace('  ', ' ')).sort();
      }),
    );
    expect(sides[1]).toEqual(sides[0]);
    expect(sides[2]).toEqual(sides[0]);
    expect(new Set(sides[0]).size).toBe(2);
  });

  it('keep a question that comes again as another query of the same side', async () => {
    const table = await readRoutingFolder(folderOf({ 'r.csv': graphrouter + graphrouter.slice(csvHeader.length) }));
    expect([table.queries.length, table.mergedRows]).toEqual([20, 10]);
    const { card } = makeRouterTask('Router-Cost', table, { seed: 3 });
    expect(card).toMatchObject({ duplicates: { rowsOfAnEarlierQuery: 10 }, checks: { queriesOnBothSides: 0 } });
  });

  it('leave out what is missing, by candidate or by query', async () => {
    const holes = graphrouter
      .replace('"what is ""2""?",b,0,0.5', '"what is ""2""?",b,0,')
      .replace('"what is ""4""?",a,1,0', '"what is ""4""?",a,,0');
    const byCandidate = await build('Router-Balance', { 'r.csv': holes });
    expect(byCandidate.card).toMatchObject({ counts: { candidatesLeftOut: 2, candidates: { fewest: 2, most: 3 } } });
    const fourth = byCandidate.all.find(({ meta }) => meta?.query === 'what is "4"?') as RankingInstance;
    expect(fourth.candidates.map(({ id }) => id).sort()).toEqual(['b', 'c']);
    const byQuery = await build('Router-Balance', { 'r.csv': holes }, { missing: 'query' });
    expect(byQuery.card).toMatchObject({ counts: { queriesWithMissingCellsDropped: 2 } });
    // A missing cost does not matter where only quality counts.
    const performance = await build('Router-Performance', { 'r.csv': holes }, { missing: 'query' });
    expect(performance.card).toMatchObject({ counts: { queriesWithMissingCellsDropped: 1 } });
  });

  it.each([
    ['gsm8k,d,q,a,1,NaN\n', /r\.csv:2 has a cost that is no finite number/],
    ['gsm8k,d,q,a,1,Infinity\n', /r\.csv:2 has a cost that is no finite number/],
    ['gsm8k,d,q,a,1,-1\n', /r\.csv:2 has a cost below 0/],
    ['gsm8k,d,q,a,yes,1\n', /r\.csv:2 has a effect that is no finite number/],
    ['gsm8k,d,,a,1,1\n', /r\.csv:2 has no query/],
    ['gsm8k,d,q, ,1,1\n', /r\.csv:2 has no llm/],
  ])('refuse the row %j', async (row, message) => {
    await expect(readRoutingFolder(folderOf({ 'r.csv': csvHeader + row }))).rejects.toMatchObject({
      code: 'ERR_DATA_ROUTING',
      message: expect.stringMatching(message),
    });
  });
});

describe('RouterBench tables', () => {
  const header = 'sample_id,prompt,eval_name,m1,m2,m1|total_cost,m2|total_cost,oracle_model_to_route_to\n';
  const rows = ['s1,"[\'one\']",e,1.0,0.0,0.02,0.01,m1\n', 's2,"[""two\'s""]",e,0.0,1.0,0.04,0.02,m2\n'];

  it('scale costs within a benchmark by training queries, and merge rows that complete each other', async () => {
    const parts = ["s3,\"['x', 'x']\",e,,1.0,0.06,0.06,m2\n", 's3,"[\'x\']",e,0.0,,0.03,0.03,m2\n'];
    const table = await readRoutingFolder(folderOf({ 'a.csv': header + rows.join('') + parts.join('') }));
    expect(table.queries.map(({ query }) => query)).toEqual(['one', "two's", 'x']);
    expect([...(table.queries[2]?.outcomes ?? [])]).toEqual([
      ['m1', { effect: 0, cost: 0.03 }],
      ['m2', { effect: 1, cost: 0.03 }],
    ]);
    const { train, test } = makeRouterTask('Router-Balance', table, { seed: 1, testShare: 0.4 });
    const trainCosts = train.flatMap(({ meta }) => Object.values(meta?.costs as Record<string, number>));
    const [least, most] = [Math.min(...trainCosts), Math.max(...trainCosts)];
    for (const { meta } of [...train, ...test]) {
      const { costs, scores } = meta as { costs: Record<string, number>; scores: Record<string, number> };
      const query = table.queries.find((one) => one.query === meta?.query);
      for (const model of ['m1', 'm2']) {
        const scaled = ((costs[model] as number) - least) / (most - least);
        const effect = query?.outcomes.get(model)?.effect as number;
        expect(scores[model]).toBeCloseTo(0.5 * effect - 0.5 * scaled, 12);
      }
    }
  });

  it('refuse contradicting rows, and folders of no or two formats', async () => {
    const again = 's1,"[\'one\']",e,0.0,,0.02,0.01,m1\n';
    await expect(readRoutingFolder(folderOf({ 'a.csv': header + rows.join('') + again }))).rejects.toMatchObject({
      code: 'ERR_DATA_ROUTING',
      message: expect.stringMatching(/a\.csv:4 repeats sample_id s1 with another score of m1/),
    });
    for (const files of [{}, { 'a.csv': header + rows[0], 'b.csv': graphrouter }, { 'llm.json': descriptions }]) {
      await expect(readRoutingFolder(folderOf(files))).rejects.toMatchObject({ code: 'ERR_DATA_SOURCE' });
    }
    await expect(readRoutingFolder(folderOf({ 'a.csv': 'a,b\n1,2\n' }))).rejects.toMatchObject({
      message: expect.stringContaining('has the columns of no routing table'),
    });
    await expect(readRoutingFolder(join(scratch, 'none'))).rejects.toMatchObject({ code: 'ERR_DATA_SOURCE' });
  });
});

describe('LLMRouter questions', () => {
  const question = (id: number) => ({
    q_id: id,
    query: `question ${id}`,
    source: 'nq',
    llm_name_list: id % 2 === 0 ? ['x/big', 'x/small'] : ['x/small', 'x/big'],
    cost_list: id % 2 === 0 ? [30, 3] : [3, 30],
    perf_list: [id % 2 === 0 ? 1 : 0, 1],
  });

  it('are read whatever the order of the models, with descriptions by service name', async () => {
    const candidates = { big: { feature: 'large', input_price: 2, output_price: 2, model: 'x/big', service: 's' } };
    const files = { 'questions.json': [1, 2, 3, 4, 5].map(question), 'candidates.json': candidates };
    const { all } = await build('Router-Cost', files);
    expect(all.length).toBe(5);
    for (const instance of all) expect(rightOf(instance)).toEqual(['x/small']);
    const texts = new Set(all.flatMap((instance) => instance.candidates.map(({ text }) => text)));
    expect([...texts].sort()).toEqual([
      'x/big: A request costs 30 on average. $2 per million tokens. large',
      'x/small: A request costs 3 on average.',
    ]);
    const named = await build('Router-Cost', files, { candidateText: 'name' });
    expect(named.all[0]?.candidates.map(({ text }) => text).sort()).toEqual(['x/big', 'x/small']);
  });

  it('show the end of a long request alone when asked to', async () => {
    const files = {
      'questions.json': [1, 2, 3].map((id) => ({ ...question(id), query: `an example\nwhat is  ${id}?\n` })),
    };
    const shown = async (queryWords?: number): Promise<string[]> => {
      const { all } = await build('Router-Cost', files, queryWords === undefined ? {} : { queryWords });
      return all.map(({ context }) => context.slice(context.indexOf('\n') + 1)).sort();
    };
    expect(await shown(3)).toEqual(['what is  1?\n', 'what is  2?\n', 'what is  3?\n']);
    expect(await shown(99)).toEqual(await shown());
    expect((await build('Router-Cost', files, { queryWords: 1 })).all[0]?.meta?.query).toMatch(/^an example/);
    await expect(build('Router-Cost', files, { queryWords: 0 })).rejects.toMatchObject({ code: 'ERR_TASK_OPTION' });
  });

  it.each([
    [{ cost_list: [1] }, /has a cost_list of another length/],
    [{ cost_list: [1, null], perf_list: [1, 'x'] }, /has a perf_list\[1\] that is no finite number/],
    [{ llm_name_list: [] }, /has no llm_name_list/],
    [{ llm_name_list: ['a', 'a'] }, /names a model twice/],
    [{ query: ' ' }, /has no query/],
    [{ q_id: null }, /has no q_id/],
    [{ q_id: 1 }, /repeats a q_id/],
  ])('refuse %j with file and line', async (change, message) => {
    const files = { 'q.json': [question(1), { ...question(2), ...change }] };
    await expect(readRoutingFolder(folderOf(files))).rejects.toMatchObject({
      code: 'ERR_DATA_ROUTING',
      message: expect.stringMatching(new RegExp(`q\\.json:\\d+ ${message.source}`)),
    });
  });
});

describe('routing options', () => {
  it.each([{ testShare: 0 }, { queries: 1 }, { costWeight: -1 }, { effectWeight: 0, costWeight: 0 }, { missing: 'x' }])(
    'refuse %j',
    async (option) => {
      await expect(
        build('Router-Balance', { 'r.csv': graphrouter }, option as Partial<RouterOptions>),
      ).rejects.toMatchObject({ code: 'ERR_TASK_OPTION' });
    },
  );

  it('refuse a source without a difference between models', async () => {
    const same = `${csvHeader}t,d,q1,a,1,0\nt,d,q1,b,1,0\nt,d,q2,a,1,0\nt,d,q2,b,1,0\n`;
    await expect(build('Router-Balance', { 'r.csv': same })).rejects.toMatchObject({ code: 'ERR_TASK_DATA' });
  });
});

describe('real sources', () => {
  it.skipIf(!existsSync(shared))('RouterBench and LLMRouter (skipped without the data folder)', async () => {
    const table = await readRoutingFolder(join(shared, 'routerbench'));
    expect([table.queries.length, table.models.length, table.mergedRows]).toEqual([2218, 11, 7]);
    const { card } = makeRouterTask('Router-Performance', table, { seed: 1 });
    expect(card).toMatchObject({
      counts: { queriesWithAllTiedDropped: 415, trainInstances: 1442, testInstances: 360 },
      checks: { queriesOnBothSides: 0 },
    });
    const llmrouter = await readRoutingFolder(join(shared, 'llmrouter'));
    expect([llmrouter.queries.length, llmrouter.models.length]).toEqual([500, 6]);
  });
});
