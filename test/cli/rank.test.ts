import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadRun } from '../../lib/data/trec-run.js';
import {
  depth,
  linesOf,
  makeRankCase,
  queryCount,
  type RankCase,
  rankArguments,
  sampled,
  scored,
} from './rank-support.js';
import { errorCode, makeFolder, readLines, removeFolder, winnow, writeLines } from './support.js';

const folder = makeFolder();
afterAll(() => removeFolder(folder));
let given: RankCase;
beforeAll(async () => {
  given = await makeRankCase(folder);
});

interface LoggedCall {
  readonly queryId: string;
  readonly step: number;
  readonly place: number;
  readonly attempt: number;
  readonly prompt: { readonly messages: readonly { readonly content: string }[]; readonly prefix: string };
  readonly shownIds: readonly string[];
  readonly completion: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly choiceLogprobs?: readonly [number, number];
  readonly verdict: {
    readonly ok: boolean;
    readonly reason?: string;
    readonly ids?: readonly string[];
    score?: number;
  };
  readonly used: boolean;
}

const pathOf = (name: string): string => join(folder, name);
const textOf = (path: string): string => readFileSync(path, 'utf8');

function rank(name: string, ...args: string[]) {
  const run = winnow([...rankArguments(given, pathOf(name)), ...args]);
  if (run.status !== 0) throw new Error(run.stderr);
  return run;
}

describe('a run reranked', () => {
  test('by scores: the order is that of the log-odds, the rest follows, the scores are distinct as float32', async () => {
    const log = pathOf('scored.jsonl');
    const callCount = [...given.order.values()].reduce((sum, all) => sum + Math.min(depth, all.length), 0);
    const run = rank('scored', ...scored, '--log', log, '--json', '--tag', 'mine');
    const summary = JSON.parse(run.stdout);
    expect(summary).toMatchObject({ queries: queryCount, ranked: queryCount, resumed: 0, failed: 0, malformed: {} });
    expect(summary).toMatchObject({ calls: callCount, keptQueries: 0, keptDocuments: 0 });

    const calls = readLines<LoggedCall>(log);
    expect(calls).toHaveLength(callCount);
    const { queries, tag } = await loadRun(pathOf('scored'));
    expect(tag).toBe('mine');
    expect([...queries.keys()]).toEqual([...given.order.keys()]);
    let changed = 0;
    for (const [id, entries] of queries) {
      const documents = given.order.get(id) as readonly string[];
      const oddsOf = new Map(
        calls.flatMap(({ queryId, shownIds, choiceLogprobs }) => {
          const [positive, negative] = choiceLogprobs as readonly [number, number];
          return queryId === id ? [[shownIds[0] as string, positive - negative] as const] : [];
        }),
      );
      expect([...oddsOf.keys()].sort()).toEqual(documents.slice(0, depth).sort());
      const byOdds = [...oddsOf].sort(([, a], [, b]) => b - a).map(([document]) => document);
      const written = entries.map(({ documentId }) => documentId);
      expect(written).toEqual([...byOdds, ...documents.slice(depth)]);
      if (byOdds.join() !== documents.slice(0, depth).join()) changed++;
      const scores = entries.map(({ score }) => Math.fround(score));
      scores.slice(1).forEach((score, index) => {
        expect(score).toBeLessThan(scores[index] as number);
      });
    }
    // By chance an order of two is kept every other time, one of four once in 24.
    expect(changed).toBeGreaterThan(queryCount / 2);
  });

  test('by questions: whatever the number in flight, run and log are the same bytes; the log has every call', () => {
    const outputs = [1, 3, 1024].map((inFlight) => {
      const name = `in-flight-${inFlight}`;
      const log = pathOf(`${name}.jsonl`);
      const run = rank(
        name,
        ...sampled,
        '--log',
        log,
        '--in-flight',
        String(inFlight),
        '--malformed',
        'retry',
        '--json',
      );
      return { summary: JSON.parse(run.stdout), text: textOf(pathOf(name)), log: textOf(log) };
    });
    const [first] = outputs;
    for (const { text, log } of outputs) expect([text, log]).toEqual([first?.text, first?.log]);
    expect([...new Set(first?.text.match(/^q\d+/gm))]).toEqual([...given.order.keys()]);

    const calls = readLines<LoggedCall>(pathOf('in-flight-3.jsonl'));
    const { summary } = outputs[1] as { summary: { calls: number; completionTokens: number; malformed: object } };
    expect(calls).toHaveLength(summary.calls);
    expect(calls.reduce((sum, { completionTokens }) => sum + completionTokens, 0)).toBe(summary.completionTokens);
    const reasons: Record<string, number> = {};
    for (const { verdict } of calls) if (verdict.reason) reasons[verdict.reason] = (reasons[verdict.reason] ?? 0) + 1;
    expect(reasons).toEqual(summary.malformed);
    expect([...new Set(calls.map(({ queryId }) => queryId))]).toEqual([...given.order.keys()]);
    for (const { queryId, prompt, promptTokens, attempt, used, verdict } of calls) {
      expect(prompt.messages.map(({ content }) => content).join('\n')).toContain(given.queryTexts.get(queryId));
      expect(promptTokens).toBeGreaterThan(5);
      expect(used).toBe(verdict.ok || attempt === 1);
    }
  });

  test('--malformed fail: a query that ends keeps its order, and is counted', async () => {
    const run = rank('failed', ...sampled, '--malformed', 'fail', '--json');
    const { failed, ranked, calls } = JSON.parse(run.stdout);
    expect([ranked, failed]).toEqual([queryCount, calls]);
    const { queries } = await loadRun(pathOf('failed'));
    const kept = [...queries].filter(
      ([id, entries]) => entries.map(({ documentId }) => documentId).join() === given.order.get(id)?.join(),
    );
    expect(kept.length).toBeGreaterThanOrEqual(failed);
  });

  test('queries and passages in every format', () => {
    rank('tsv', ...scored);
    const beirQueries = pathOf('queries.jsonl');
    writeLines(
      beirQueries,
      [...given.queryTexts].map(([_id, text]) => ({ _id, text })),
    );
    const corpus = pathOf('corpus.jsonl');
    writeLines(
      corpus,
      [...given.passageTexts].map(([_id, text]) => ({
        _id,
        title: text.split(' ')[0],
        text: text.replace(/^\w+ /, ''),
      })),
    );
    const topics = pathOf('topics');
    const topic = ([id, text]: readonly [string, string]) => `<top>\n<num> Number: ${id}\n<title> ${text}\n</top>\n`;
    writeFileSync(topics, [...given.queryTexts].map(topic).join(''));
    const requests = pathOf('requests.json');
    const candidates = [...given.passageTexts].map(([docid, text]) => ({ docid, score: 1, doc: { text } }));
    const request = ([qid, text]: readonly [string, string]) => ({ query: { qid, text }, candidates });
    writeFileSync(requests, JSON.stringify([...given.queryTexts].map(request)));
    for (const [queries, passages] of [
      [beirQueries, corpus],
      [topics, given.passages],
      [requests, requests],
    ] as const) {
      const args = [...rankArguments({ ...given, queries, passages }, pathOf('other')), ...scored];
      expect(winnow(args)).toMatchObject({ status: 0, stderr: '' });
      expect(textOf(pathOf('other'))).toBe(textOf(pathOf('tsv')));
      removeFolder(pathOf('other'));
    }
  });
});

describe('texts that are not there', () => {
  const lacking = (path: string, ids: readonly string[]): string => {
    const lines = textOf(path).split('\n');
    const left = pathOf(`lacking-${ids.join('-')}.tsv`);
    writeFileSync(left, lines.filter((line) => !ids.includes(line.split('\t')[0] as string)).join('\n'));
    return left;
  };

  test('are an error that names file and id, before anything is asked', () => {
    const [query, documents] = [...given.order][3] as [string, readonly string[]];
    const output = pathOf('lacking');
    const queries = lacking(given.queries, [query]);
    const first = winnow([...rankArguments({ ...given, queries }, output), ...scored]);
    expect(errorCode(first)).toBe('ERR_DATA_TEXT');
    expect(first.stderr).toContain(`${queries} has no text for query ${query}`);
    const passages = lacking(given.passages, [documents[1] as string]);
    const second = winnow([...rankArguments({ ...given, passages }, output), ...scored]);
    expect(errorCode(second)).toBe('ERR_DATA_TEXT');
    expect(second.stderr).toContain(`${passages} has no text for document ${documents[1]} of query `);
    // Beyond the depth no text is needed, and what failed is not in the way.
    const deep = [...given.order.values()].flatMap((all) => all.slice(depth));
    const shown = new Set([...given.order.values()].flatMap((all) => all.slice(0, depth)));
    const beyond = deep.find((id) => !shown.has(id)) as string;
    const third = winnow([
      ...rankArguments({ ...given, passages: lacking(given.passages, [beyond]) }, output),
      ...scored,
    ]);
    expect(third).toMatchObject({ status: 0, stderr: '' });
  });

  test('--missing keep: such a query keeps its order, such a document comes after those ranked', async () => {
    const [[query], [, documents]] = [...given.order] as [[string, readonly string[]], [string, readonly string[]]];
    const gone = documents[1] as string;
    const broken = { ...given, queries: lacking(given.queries, [query]), passages: lacking(given.passages, [gone]) };
    const run = winnow([...rankArguments(broken, pathOf('kept')), ...scored, '--missing', 'keep', '--json']);
    const summary = JSON.parse(run.stdout);
    expect(summary).toMatchObject({ queries: queryCount, ranked: queryCount - 1, keptQueries: 1 });
    expect(summary.keptDocuments).toBeGreaterThan(0);
    const { queries } = await loadRun(pathOf('kept'));
    expect([...queries.keys()]).toEqual([...given.order.keys()]);
    expect(queries.get(query)?.map(({ documentId }) => documentId)).toEqual(given.order.get(query));
    for (const [id, entries] of queries) {
      const all = given.order.get(id) as readonly string[];
      const written = entries.map(({ documentId }) => documentId);
      expect([...written].sort()).toEqual([...all].sort());
      if (id !== query && all.slice(0, depth).includes(gone)) {
        expect(written.slice(Math.min(depth, all.length) - 1)).toEqual([gone, ...all.slice(depth)]);
      }
    }
  });
});

test('bad input', () => {
  const output = pathOf('bad');
  const code = (args: readonly string[]): string => errorCode(winnow(args));
  const base = [...rankArguments(given, output), ...scored];
  const withFile = (key: 'run' | 'queries' | 'passages', path: string) => [
    ...rankArguments({ ...given, [key]: path }, output),
    ...scored,
  ];
  const file = (name: string, text: string): string => {
    writeFileSync(pathOf(name), text);
    return pathOf(name);
  };
  expect(code([...base, '--in-flight', '0'])).toBe('ERR_USAGE');
  expect(code([...base, '--missing', 'skip'])).toBe('ERR_USAGE');
  expect(code(withFile('run', '-'))).toBe('ERR_USAGE');
  expect(code(withFile('run', pathOf('nothing')))).toBe('ERR_DATA_RUN');
  expect(code(withFile('run', file('empty', '')))).toBe('ERR_DATA_RUN');
  expect(code(withFile('run', file('twice', 'q1 Q0 d1 1 2 t\nq1 Q0 d1 2 1 t\n')))).toBe('ERR_DATA_RUN');
  expect(code(withFile('run', file('apart', 'q1 Q0 d1 1 2 t\nq2 Q0 d1 1 2 t\nq1 Q0 d2 2 1 t\n')))).toBe('ERR_DATA_RUN');
  expect(code(withFile('queries', file('no-queries', '')))).toBe('ERR_DATA_TOPICS');
  expect(code(withFile('passages', pathOf('nothing')))).toBe('ERR_DATA_COLLECTION');
  expect(code([...base.slice(0, -2), '--protocol-option', 'negative'])).toBe('ERR_USAGE');
  expect(code([...base, '--protocol-option', 'window=3'])).toBe('ERR_PROTOCOL_OPTION');
  expect(code([...rankArguments({ ...given, model: pathOf('nothing') }, output), ...scored])).toBe('ERR_FILE_OPEN');
  // Nothing was written, so nothing is in the way.
  expect(existsSync(output) ? textOf(output) : '').toBe('');
  expect(winnow(base)).toMatchObject({ status: 0, stderr: '' });
  expect(code(base)).toBe('ERR_OUTPUT_EXISTS');
  expect(textOf(output).split('\n')).toHaveLength(linesOf(given) + 1);
});
