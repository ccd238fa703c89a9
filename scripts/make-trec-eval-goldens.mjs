// Makes test/fixtures/trec-eval: small nasty runs and judgements, and what trec_eval prints for them and for real runs.
//   node scripts/make-trec-eval-goldens.mjs TREC_EVAL_9 TREC_EVAL_10 [FOLDER_WITH_TREC_DL]
// Both programs are built with `make` from https://github.com/usnistgov/trec_eval: tag v9.0.8 (which calls itself 9.0.7) and commit
// f425365 (10.0; calls itself 10.0-rc3). Tests read what this leaves; they never run it.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../test/fixtures/trec-eval', import.meta.url));
const [trecEval9, trecEval10, trecDl] = process.argv.slice(2);
if (!trecEval10) throw new Error('usage: make-trec-eval-goldens.mjs TREC_EVAL_9 TREC_EVAL_10 [FOLDER_WITH_TREC_DL]');
const programs = { 9: trecEval9, 10: trecEval10 };
mkdirSync(folder, { recursive: true });

let state = 12345;
/** Uniform in 0 .. count - 1 (the multiplier of Park and Miller). */
function random(count) {
  state = (state * 48271) % 2147483647;
  return state % count;
}

/** Queries with and without judgements, unjudged documents, negative and graded judgements, rankings of 1 to 620. */
function mixed() {
  const qrels = [];
  const run = [];
  // [query, documents of the collection, judged of them in percent, highest grade, retrieved]
  const shapes = [
    ['10', 40, 60, 3, 30],
    ['9', 40, 90, 1, 40],
    ['101', 700, 30, 3, 620],
    ['q-α', 25, 50, 4, 12],
    ['one', 8, 100, 2, 1],
    ['no-relevant', 20, 80, 0, 15],
    ['only-in-run', 20, 0, 0, 10],
    ['not-in-run', 20, 100, 3, 0],
    ['zz', 60, 40, 2, 50],
  ];
  for (const [query, documents, judged, highest, retrieved] of shapes) {
    const names = Array.from({ length: documents }, (_, index) => `D${index * 7}`);
    for (const name of names) {
      if (random(100) >= judged) continue;
      const negative = random(12) === 0 ? -1 - random(2) : undefined;
      qrels.push(`${query} 0 ${name} ${negative ?? random(highest + 1)}`);
    }
    const left = names.slice();
    for (let rank = 0; rank < retrieved; rank++) {
      const [name] = left.splice(random(left.length), 1);
      // Few distinct scores, so that ties abound; the rank column says nothing.
      run.push(`${query} Q0 ${name} ${random(100)} ${(random(retrieved) / 4).toFixed(2)} mixed`);
    }
  }
  qrels.push('one 1 D-negative-only -1', 'all-negative 0 D1 -1', 'all-negative 0 D2 -2');
  run.push('all-negative Q0 D1 1 2.5 mixed', 'all-negative Q0 D3 2 1.5 mixed');
  // Lines of all queries mixed up.
  for (let i = run.length - 1; i > 0; i--) {
    const j = random(i + 1);
    [run[i], run[j]] = [run[j], run[i]];
  }
  return { qrels: `${qrels.join('\n')}\n`, run: `${run.join('\n')}\n` };
}

/** Orders that hang on the tie rule: float32 against double, document ids by bytes, numbers as text, large and tiny scores. */
function ties() {
  const documents = ['b', 'a', 'B', 'é', '\u{1f600}', '\uffee', 'doc10', 'doc9', '~', '0'];
  const scores = {
    equal: () => '1.0',
    float32: (index) => `${1 + index * 1e-9}`,
    large: (index) => `${16777216 + index}`,
    tiny: (index) => `${index}e-46`,
    overflow: (index) => `${index + 1}e38`,
    notations: (index) => ['1', '1.0', '1e0', '+1', '.1e1', '10e-1', '0.99', '-1', '-0', '0'][index],
  };
  const qrels = [];
  const run = [];
  for (const [query, score] of Object.entries(scores)) {
    documents.forEach((name, index) => {
      run.push(`${query}\tQ0 \t${name}  ${index} ${score(index)} ties  more fields`);
      if (index !== 3) qrels.push(`${query} 0 ${name} ${(index * 3) % 5}`);
    });
  }
  return { qrels: `${qrels.join('\r\n')}\r\n`, run: `\n${run.join('\r\n')}` };
}

/** Nothing that was retrieved is judged: with -J trec_eval divides 0 by 0. */
function unjudged() {
  return {
    qrels: 'a 0 d1 1\na 0 d2 0\nb 0 d1 2\n',
    run: 'a Q0 x1 1 3 unjudged\na Q0 x2 2 2 unjudged\nb Q0 d1 1 2 unjudged\nb Q0 d2 2 1 unjudged\n',
  };
}

function golden(version, paths, data, args) {
  const { status, stdout, stderr } = spawnSync(programs[version], [...args, ...paths], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`trec_eval ${version} ${args.join(' ')} ${paths.join(' ')}: ${stderr}`);
  return `${JSON.stringify({ data, version, arguments: args, output: stdout })}\n`;
}

const families = 'official ndcg ndcg_cut map_cut recip_rank recall success set set_F.0.5';
const every = families.split(' ').flatMap((name) => ['-m', name]);
const some = 'official ndcg ndcg_cut.10 map_cut.10 recall.10 set'.split(' ').flatMap((name) => ['-m', name]);
const chosen = ['-m', 'P.1,3,7', '-m', 'iprec_at_recall.0.05,.33,1', '-m', 'ndcg_cut.1,10', '-m', 'success.2'];
const optionSets = [[], ['-q'], ['-l', '2', '-q'], ['-M', '7', '-q'], ['-J', '-q'], ['-c'], ['-c', '-q', '-l', '3']];
const together = ['-c', '-q', '-n', '-l', '2', '-J', '-M', '20'];

const lines = [];
for (const [name, { qrels, run }] of Object.entries({ mixed: mixed(), ties: ties(), unjudged: unjudged() })) {
  const paths = [join(folder, `${name}.qrels`), join(folder, `${name}.run`)];
  writeFileSync(paths[0], qrels);
  writeFileSync(paths[1], run);
  if (name === 'unjudged') {
    for (const version of [9, 10])
      lines.push(golden(version, paths, name, ['-q', ...every]), golden(version, paths, name, ['-q', '-J']));
    continue;
  }
  for (const options of [...optionSets, together])
    lines.push(golden(9, paths, name, [...options, ...(options.length > 1 ? some : every)]));
  lines.push(golden(9, paths, name, []), golden(9, paths, name, ['-q', ...chosen]));
  // Without -c version 10 refuses a run that lacks a judged query.
  const asked = name === 'mixed' ? ['-c'] : [];
  lines.push(golden(10, paths, name, [...asked, '-q', ...some]), golden(10, paths, name, [...asked, '-J', ...every]));
}
writeFileSync(join(folder, 'goldens.jsonl'), lines.join(''));

if (trecDl) {
  const real = [];
  for (const [year, run] of [
    ['dl19', 'trec_results_dl19.txt'],
    ['dl21', 'trec_results_dl21.txt'],
  ]) {
    const paths = [join(trecDl, `qrels.${year}-passage.txt`), join(trecDl, run)];
    real.push(golden(9, paths, year, []), golden(9, paths, year, every), golden(10, paths, year, ['-c', ...every]));
    for (const options of [['-c', '-l', '2'], ['-J'], ['-M', '20']])
      real.push(golden(9, paths, year, [...options, ...every]));
    real.push(golden(9, paths, year, ['-q', '-m', 'ndcg_cut.10', '-m', 'map', '-m', 'bpref', '-m', 'recip_rank']));
  }
  writeFileSync(join(folder, 'goldens-trec-dl.jsonl'), real.join(''));
}
