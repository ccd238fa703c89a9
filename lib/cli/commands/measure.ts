import { type Command, Option } from 'commander';
import { loadBeirQrels, loadQrels, loadRun, type Qrels, type Run, readMsMarcoRun } from '../../data/index.js';
import { WinnowError } from '../../errors.js';
import {
  type Comparison,
  compareRuns,
  formatTable,
  formatTrecEval,
  type MeasuredRun,
  measureRun,
  type RunMeasureOptions,
  selectMeasures,
  type TrecEvalVersion,
} from '../../eval/index.js';
import type { CommandContext } from '../context.js';
import { addEngineOptions, type EngineOptions, integerFrom } from '../options.js';
import { writeStdout } from '../output.js';

interface MeasureOptions extends EngineOptions {
  readonly qrels: string;
  readonly run: readonly string[];
  readonly measures?: string;
  readonly perQuery: boolean;
  readonly summary: boolean;
  readonly level: number;
  readonly complete: boolean;
  readonly judgedOnly: boolean;
  readonly maxRetrieved?: number;
  readonly qrelsFormat: 'trec' | 'beir';
  readonly runFormat: 'trec' | 'msmarco';
  readonly trecEval: '9' | '10';
  readonly resamples: number;
  readonly seed: number;
}

const forOneRun = 'official';
const forComparison = 'map,recip_rank,ndcg_cut_10';

/** `winnow measure`: what trec_eval prints, and the comparison of runs. */
export function registerMeasure(program: Command, context: CommandContext): void {
  const command = program
    .command('measure')
    .description(
      'measures of retrieval runs against judgements, as trec_eval prints them; of several runs a comparison',
    )
    .requiredOption('--qrels <file>', 'relevance judgements')
    .requiredOption('--run <files...>', 'a run, or a first run and others to compare with it; - = standard input')
    .option(
      '-m, --measures <list>',
      `trec_eval's names or nDCG@10, MRR@10, Hit@5, Judged@10; default: ${forOneRun}, of several runs ${forComparison}`,
    )
    .option('-q, --per-query', 'also print each query (one run)', false)
    .option('-n, --no-summary', 'do not print the values over all queries (one run)')
    .option('-l, --level <grade>', 'a document is relevant from this grade on', integerFrom(0), 1)
    .option('-c, --complete', 'count judged queries that the run lacks, as 0', false)
    .option('-J, --judged-only', 'take unjudged documents out of the rankings', false)
    .option('-M, --max-retrieved <n>', 'only the first n documents of each query', integerFrom(1))
    .addOption(new Option('--qrels-format <name>', 'of the judgements').choices(['trec', 'beir']).default('trec'))
    .addOption(new Option('--run-format <name>', 'of the runs').choices(['trec', 'msmarco']).default('trec'))
    .addOption(new Option('--trec-eval <version>', 'whose ties and rounding').choices(['9', '10']).default('9'))
    .option('--resamples <n>', 'of the tests between runs', integerFrom(1), 10_000)
    .option('--seed <s>', 'of the tests between runs', integerFrom(0), 0);
  addEngineOptions(command).action((options: MeasureOptions) => runMeasure(options, context));
}

async function runMeasure(options: MeasureOptions, { signal }: CommandContext): Promise<void> {
  const compares = options.run.length > 1;
  if (compares && (options.perQuery || !options.summary) && !options.json) {
    throw new WinnowError('ERR_USAGE', 'lines of queries are printed of one run', {
      received: `${options.run.length} runs`,
      hint: '--json holds the values per query of every run',
    });
  }
  const version: TrecEvalVersion = options.trecEval === '10' ? 10 : 9;
  const settings: RunMeasureOptions = {
    measures: (options.measures ?? (compares ? forComparison : forOneRun)).split(','),
    level: options.level,
    complete: options.complete,
    judgedOnly: options.judgedOnly,
    ...(options.maxRetrieved === undefined ? {} : { maxRetrieved: options.maxRetrieved }),
    version,
  };
  // A misspelt name must not wait for gigabytes to be read.
  selectMeasures(settings.measures ?? []);
  const qrels = await readQrels(options);
  const measured: MeasuredRun[] = [];
  for (const path of options.run) {
    measured.push(measureRun(qrels, await readRunFile(path, options), settings));
    signal.throwIfAborted();
  }
  const comparisons = compares ? compareRuns(measured, options) : [];
  if (options.json) await writeStdout(`${JSON.stringify(toRecord(options, measured, comparisons))}\n`);
  else if (compares) await writeStdout(formatComparisons(options.run, comparisons));
  else {
    const printed = { perQuery: options.perQuery, overall: options.summary, version };
    for (const line of formatTrecEval(measured[0] as MeasuredRun, printed)) await writeStdout(line);
  }
}

const readQrels = ({ qrels, qrelsFormat }: MeasureOptions): Promise<Qrels> =>
  qrelsFormat === 'beir' ? loadBeirQrels(qrels) : loadQrels(qrels);

const readRunFile = (path: string, { runFormat }: MeasureOptions): Promise<Run> =>
  runFormat === 'msmarco' ? loadRun(path, readMsMarcoRun(path)) : loadRun(path);

function toRecord(options: MeasureOptions, measured: readonly MeasuredRun[], comparisons: readonly Comparison[]) {
  const runs = measured.map(({ tag, queryIds, missing, columns }, index) => ({
    run: options.run[index],
    tag,
    queries: queryIds.length,
    missingQueries: missing.size,
    overall: Object.fromEntries(columns.map(({ name, overall }) => [name, overall])),
    ...(options.perQuery
      ? {
          perQuery: Object.fromEntries(
            queryIds.map((id, place) => [
              id,
              Object.fromEntries(
                columns
                  .filter(({ summary }) => summary === 'mean' || summary === 'sum')
                  .map(({ name, perQuery }) => [name, perQuery[place]]),
              ),
            ]),
          ),
        }
      : {}),
  }));
  return { qrels: options.qrels, level: options.level, runs, ...(measured.length > 1 ? { comparisons } : {}) };
}

/** p-values of three digits; none is 0. */
const probability = (p: number): string => (p < 0.001 ? p.toExponential(0) : p.toFixed(3));

function formatComparisons(paths: readonly string[], comparisons: readonly Comparison[]): string {
  const right = { align: 'right' as const };
  const columns = [
    { title: 'run' },
    { title: 'measure' },
    { title: 'first', ...right },
    { title: 'this', ...right },
    { title: 'difference [95 %]', ...right },
    { title: 'better/worse', ...right },
    { title: 't-test', ...right },
    { title: 'bootstrap', ...right },
    { title: 'randomisation', ...right },
    { title: 'Holm', ...right },
  ];
  const signed = (value: number): string => `${value < 0 ? '' : '+'}${value.toFixed(4)}`;
  const rows = comparisons.map((one) => [
    paths[one.run] as string,
    one.measure,
    one.baseline.toFixed(4),
    one.value.toFixed(4),
    `${signed(one.difference.mean)} [${signed(one.difference.low)}, ${signed(one.difference.high)}]`,
    `${one.wins}/${one.losses}`,
    probability(one.tTest),
    probability(one.bootstrap),
    probability(one.randomisation),
    probability(one.holm),
  ]);
  return (
    `first: ${paths[0]}\n${formatTable(columns, rows)}` +
    `two-sided p-values; Holm corrects the randomisation test's over these ${comparisons.length} comparisons\n`
  );
}
