import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  loadQrels,
  loadRun,
  openBeirFolder,
  readBeirCorpus,
  readBeirQueries,
  readRankLlmRequests,
  readTopics,
  readTsvCollection,
  readTsvQueries,
  writeRankLlmResults,
} from '../../lib/data/index.js';
import { readJsonArray } from '../../lib/data/json-array.js';
import { at, collect, temporaryFolder } from './support.js';

const { folder, file } = temporaryFolder('collections');
const real = fileURLToPath(new URL('../../../shared/data/passage/', import.meta.url));
const isThere = existsSync(real);
if (!isThere) console.log('skipped: no development data, so real files are not read');

describe('MS MARCO tables', () => {
  it('are read with CRLF and blank lines', async () => {
    expect(await collect(readTsvQueries(file('1\twhat is é\r\n\r\n2\tb  c\r\n')))).toEqual([
      { id: '1', text: 'what is é' },
      { id: '2', text: 'b  c' },
    ]);
    expect(await collect(readTsvCollection(file('1\ttext')))).toEqual([{ id: '1', title: '', text: 'text' }]);
  });

  it.each([
    ['1 no tab', 1, 'query is missing'],
    ['1\ta\tb', 1, 'a field after query is too many'],
    ['1\ta\n\tb', 2, 'query id is no id'],
    ['1\ta\n2\t ', 2, 'query is empty'],
    ['1\ta\n2\tb\n1\tc', 3, 'query id comes twice'],
  ])('that are broken name line and field: %j', async (content, line, field) => {
    await expect(collect(readTsvQueries(file(content)))).rejects.toEqual(at('ERR_DATA_COLLECTION', line, field));
  });
});

describe('topics', () => {
  const classical = `<top>
<num> Number: 401
<title> foreign minorities,
Germany

<desc> Description:
What language & <culture> differences
impede integration?
<narr> Narrative:
A relevant document...
</top>

<TOP><num>402</num><title>Topic: behavioral genetics</title></TOP>
`;

  it('are read in the classical form', async () => {
    for (const content of [classical, classical.replaceAll('\n', '\r\n')]) {
      expect(await collect(readTopics(file(content)))).toEqual([
        {
          id: '401',
          text: 'foreign minorities, Germany',
          description: 'What language & <culture> differences impede integration?',
          narrative: 'A relevant document...',
        },
        { id: '402', text: 'behavioral genetics', description: '', narrative: '' },
      ]);
    }
  });

  it('are read as a table', async () => {
    expect(await collect(readTopics(file('\n7\tthe query\n')))).toEqual([
      { id: '7', text: 'the query', description: '', narrative: '' },
    ]);
  });

  it.each([
    ['<top><num>1<title>a', 1, '<top> has no end'],
    ['<top>\n<num>1\n</top>', 1, '<title> is missing'],
    ['<top>\n<title>a\n</top>', 1, '<num> is missing'],
    ['<top><num>1<title>a</top>\n<top><num>1<title>b</top>', 2, '<num> comes twice'],
    ['<top><num>1<num>2<title>b</top>', 1, '<num> comes twice'],
    ['<top><num>1<title>a\n<top>', 2, '<top> stands in the wrong place'],
    ['<top><num>1<title>a</top>\n<num>2', 2, '<num> stands in the wrong place'],
    ['<top><num>1<title>a</top>\nx', 2, 'text stands outside'],
    ['<top>x<num>1<title>a</top>', 1, 'topic holds text outside'],
  ])('that are broken name line and field: %j', async (content, line, field) => {
    await expect(collect(readTopics(file(content)))).rejects.toEqual(at('ERR_DATA_TOPICS', line, field));
  });

  it('are refused when there are none', async () => {
    await expect(collect(readTopics(file('\n')))).rejects.toMatchObject({ code: 'ERR_DATA_TOPICS' });
  });
});

describe('BEIR folders', () => {
  it('are read', async () => {
    const beir = join(folder, 'beir');
    mkdirSync(join(beir, 'qrels'), { recursive: true });
    writeFileSync(
      join(beir, 'corpus.jsonl'),
      '{"_id":"d1","title":"T","text":"x"}\n{"_id":2,"text":"","metadata":{}}\n',
    );
    writeFileSync(join(beir, 'queries.jsonl'), '{"_id":"q1","text":"what"}\n');
    await expect(openBeirFolder(join(folder, 'none'))).rejects.toMatchObject({ code: 'ERR_DATA_SOURCE' });
    writeFileSync(join(beir, 'qrels', 'test.tsv'), 'query-id\tcorpus-id\tscore\nq1\td1\t1\n');
    const opened = await openBeirFolder(beir);
    expect(opened.splits).toEqual(['test']);
    expect(await collect(opened.corpus())).toEqual([
      { id: 'd1', title: 'T', text: 'x' },
      { id: '2', title: '', text: '' },
    ]);
    expect(await collect(opened.queries())).toEqual([{ id: 'q1', text: 'what' }]);
    expect((await opened.qrels('test')).get('q1')?.get('d1')).toBe(1);
    await expect(opened.qrels('dev')).rejects.toMatchObject({ code: 'ERR_DATA_SOURCE' });
    rmSync(join(beir, 'queries.jsonl'));
    await expect(openBeirFolder(beir)).rejects.toThrow(/lacks queries.jsonl/);
  });

  it.each([
    ['{"text":"x"}', 1, '_id is missing'],
    ['{"_id":"","text":"x"}', 1, '_id is empty'],
    ['{"_id":"a","text":"x"}\n{"_id":"b"}', 2, 'text is missing'],
    ['{"_id":"a","text":null}', 1, 'text is no string'],
    ['{"_id":"a","text":"x","title":3}', 1, 'title is no string'],
    ['[1]', 1, 'line is no object'],
    ['{"_id":"a","text":"x"}\n{"_id":"a","text":"y"}', 2, '_id comes twice'],
  ])('that are broken name line and field: %j', async (content, line, field) => {
    await expect(collect(readBeirCorpus(file(content)))).rejects.toEqual(at('ERR_DATA_COLLECTION', line, field));
  });

  it('name the line of broken JSON, broken UTF-8 and an empty query', async () => {
    await expect(collect(readBeirCorpus(file('{"_id":"a","text":"x"}\n{')))).rejects.toThrow(/:2 is not JSON/);
    const latin1 = Uint8Array.from(Buffer.from('{"_id":"a","text":"\xe9"}', 'latin1'));
    await expect(collect(readBeirCorpus(file(latin1)))).rejects.toThrow(/:1 is not valid UTF-8/);
    const empty = file('{"_id":"a","text":" "}');
    await expect(collect(readBeirQueries(empty))).rejects.toEqual(at('ERR_DATA_COLLECTION', 1, 'text is empty'));
  });
});

describe('large JSON arrays', () => {
  it('yield their elements with the lines they begin on', async () => {
    const values = [1, 'a,]"\\', { x: [1, { y: ']' }] }, [], null, 'é'.repeat(100_000), -1.5];
    const path = file(`\ufeff \n[${values.map((value) => `\n${JSON.stringify(value)}`).join(' ,')}\n]\n`);
    const elements = await collect(readJsonArray(path));
    expect(elements.map(({ value }) => value)).toEqual(values);
    expect(elements.map(({ number }) => number)).toEqual([3, 4, 5, 6, 7, 8, 9]);
    expect(await collect(readJsonArray(file('[ ]')))).toEqual([]);
  });

  it.each(['', '{}', '[1', '[1,]', '[,1]', '[1] 2', '[1 2]', '["a', '[{]}]', '[\xff]'])(
    'refuse %j',
    async (content) => {
      const bytes = Uint8Array.from(Buffer.from(content, 'latin1'));
      await expect(collect(readJsonArray(file(bytes)))).rejects.toMatchObject({ code: 'ERR_DATA_JSONL' });
    },
  );
});

describe('rank_llm', () => {
  const request = {
    query: { text: 'what', qid: 7 },
    candidates: [
      { docid: 'a', score: 2.5, doc: { title: 'T', contents: 'x' } },
      { docid: 3, score: 1, doc: { segment: 'y' } },
      { docid: 'c', score: 0, doc: 'plain' },
    ],
  };
  const expected = {
    query: { id: '7', text: 'what' },
    candidates: [
      { id: 'a', title: 'T', text: 'x', score: 2.5 },
      { id: '3', title: '', text: 'y', score: 1 },
      { id: 'c', title: '', text: 'plain', score: 0 },
    ],
  };

  it('requests are read as lines, as an array and in the older form', async () => {
    expect(await collect(readRankLlmRequests(file(`${JSON.stringify(request)}\n`)))).toEqual([expected]);
    expect(await collect(readRankLlmRequests(file(JSON.stringify([request], undefined, 2))))).toEqual([expected]);
    const older = { query: 'what', hits: [{ content: 'x', qid: 7, docid: 'a', rank: 1, score: 2.5 }] };
    expect(await collect(readRankLlmRequests(file(JSON.stringify([older]))))).toEqual([
      { query: expected.query, candidates: [{ id: 'a', title: '', text: 'x', score: 2.5 }] },
    ]);
  });

  it('results are written so that they read back', async () => {
    const path = join(folder, 'results.jsonl');
    const invocations = [{ prompt: 'p', response: 'r', input_token_count: 1, output_token_count: 2 }];
    await writeRankLlmResults(path, [{ ...expected, invocations }]);
    expect(await collect(readRankLlmRequests(path))).toEqual([expected]);
  });

  it.each([
    [{}, 'candidates is missing'],
    [{ ...request, query: { text: 'x' } }, 'query.qid is missing'],
    [{ ...request, query: { qid: 1 } }, 'query.text is missing'],
    [{ ...request, candidates: [{ docid: 'a', score: 1 }] }, 'candidates\\[0\\] has no text'],
    [{ ...request, candidates: [{ score: 1, doc: 'x' }] }, 'candidates\\[0\\].docid is missing'],
    [{ ...request, candidates: [{ docid: 'a', doc: 'x' }] }, 'candidates\\[0\\].score is missing'],
    [{ ...request, candidates: [...request.candidates, request.candidates[0]] }, 'candidates\\[3\\].docid comes twice'],
    [{ query: 'what', hits: [] }, 'hits\\[\\].qid does not tell'],
  ])('requests that are broken name line and field: %j', async (value, field) => {
    const path = file(`\n${JSON.stringify(value)}`);
    await expect(collect(readRankLlmRequests(path))).rejects.toEqual(at('ERR_DATA_RANK_LLM', 2, field));
  });

  it('requests with a query twice are refused', async () => {
    const line = JSON.stringify(request);
    await expect(collect(readRankLlmRequests(file(`${line}\n${line}`)))).rejects.toEqual(
      at('ERR_DATA_RANK_LLM', 2, 'query id comes twice'),
    );
  });
});

describe('real files', () => {
  it.skipIf(!isThere)('of TREC Deep Learning are read and agree with each other', async () => {
    for (const [year, topics, queries] of [
      ['dl19', 'topics.dl19-passage.txt', 43],
      ['dl21', 'topics.dl21.txt', 53],
    ] as const) {
      const run = await loadRun(join(real, `trec-dl/trec_results_${year}.txt`));
      const requests = await collect(readRankLlmRequests(join(real, `trec-dl/retrieve_results_${year}.json`)));
      const qrels = await loadQrels(join(real, `trec-dl/qrels.${year}-passage.txt`));
      const textOf = new Map(
        (await collect(readTopics(join(real, 'trec-dl', topics)))).map(({ id, text }) => [id, text]),
      );
      expect(qrels.size).toBe(queries);
      for (const { query, candidates } of requests) {
        const inRun = run.queries.get(query.id)?.map(({ documentId }) => documentId);
        expect(candidates.map(({ id }) => id)).toEqual(inRun);
        expect(query.text).toBe(textOf.get(query.id));
      }
      expect([...qrels.keys()].every((id) => run.queries.has(id))).toBe(true);
    }
  });

  it.skipIf(!isThere)('of NFCorpus are read', async () => {
    const nfcorpus = await openBeirFolder(join(real, 'nfcorpus'));
    expect(nfcorpus.splits).toEqual(['dev', 'train']);
    expect((await collect(nfcorpus.corpus())).length).toBe(3633);
    const ids = new Set((await collect(nfcorpus.queries())).map(({ id }) => id));
    const train = await nfcorpus.qrels('train');
    expect(train.size).toBe(2590);
    expect([...train.keys()].every((id) => ids.has(id))).toBe(true);
  });
});
