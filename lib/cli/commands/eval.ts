import { join } from 'node:path';
import type { Command } from 'commander';
import { writeFileAtomic } from '../../data/atomic-file.js';
import { loadInstances } from '../../data/instances.js';
import { writeJsonLines } from '../../data/jsonl.js';
import {
  evaluate,
  evaluateScorer,
  formatTable,
  type MeasureResult,
  type ModelEvaluation,
  percent,
  type Sequences,
  sasrecScorer,
} from '../../eval/index.js';
import type { Session } from '../../native/index.js';
import type { RankingCall, RankingResult, TokenUsage } from '../../protocol/index.js';
import { readableRanking, renderEvaluation, spread } from '../../report/index.js';
import type { RankingInstance } from '../../types.js';
import { evaluateBaselines, readBaselineData } from '../baselines.js';
import type { CommandContext } from '../context.js';
import { type LoadedModel, withModelFolder } from '../model-folder.js';
import {
  adapterOption,
  addEngineOptions,
  type DTypeOption,
  dtypeOption,
  type EngineOptions,
  integerFrom,
  keyValueDtypeOption,
  requireTogether,
} from '../options.js';
import { writeStdout } from '../output.js';
import { openProgress } from '../progress.js';
import { addProtocolOptions, type ProtocolOptions, rankingProtocol } from '../protocol-option.js';
import { addRankingOptions, type RankingOptions } from '../ranking-options.js';

interface EvalOptions extends EngineOptions, ProtocolOptions, RankingOptions {
  readonly model: string;
  readonly data: string;
  readonly output: string;
  readonly adapter?: string;
  readonly dtype: DTypeOption;
  readonly keyValueDtype?: DTypeOption;
  readonly limit?: number;
  readonly trainSequences?: string;
  readonly sasrec: boolean;
  readonly show: number;
}

/** `winnow eval`: ranks every instance of a file and measures it next to chance and the baselines. */
export function registerEval(program: Command, context: CommandContext): void {
  const command = program
    .command('eval')
    .description('measures of a ranker on a file of instances')
    .requiredOption('--model <dir>', 'model folder in the Hugging Face layout')
    .requiredOption('--data <file>', 'lines of RankingInstance')
    .requiredOption('--output <dir>', 'folder for evaluation.json, evaluation.html and rankings.jsonl')
    .option('--limit <n>', 'only the first n instances', integerFrom(1))
    .option('--train-sequences <file>', 'for baselines; default: train-sequences.jsonl beside the data')
    .addOption(adapterOption())
    .option('--sasrec', 'also SASRec, trained on those sequences first (half a minute on MovieLens 100K)', false)
    .option('--show <n>', 'rankings with their completions in evaluation.html', integerFrom(0), 20)
    .addOption(dtypeOption())
    .addOption(keyValueDtypeOption());
  addEngineOptions(addProtocolOptions(addRankingOptions(command))).action((options: EvalOptions) =>
    runEval(options, context),
  );
}

async function runEval(options: EvalOptions, context: CommandContext): Promise<void> {
  const instances = (await loadInstances(options.data)).slice(0, options.limit);
  const learned = await readBaselineData(options.data, instances[0]?.task ?? '', options.trainSequences);
  requireTogether(!options.sasrec || learned.sequences !== undefined, '--train-sequences', '--sasrec');
  const { evaluation, calls, sasrec } = await withModelFolder(
    options.model,
    options,
    context,
    async (loaded, session) => ({
      ...(await evaluateModel(options, instances, loaded, context)),
      sasrec: options.sasrec
        ? await trainSasrec(session, learned.sequences ?? [], instances, options, context)
        : undefined,
    }),
  );
  const baselines = { ...evaluateBaselines(instances, learned, options.seed), ...(sasrec && { SASRec: sasrec }) };
  const { results, ...summary } = evaluation;
  await writeJsonLines(join(options.output, 'rankings.jsonl'), results);
  const { adapter } = options;
  const record = {
    model: options.model,
    ...(adapter === undefined ? {} : { adapter }),
    data: options.data,
    ...summary,
    baselines,
  };
  const rankings = [...calls].map(([index, own]) =>
    readableRanking(instances[index] as RankingInstance, results[index] as RankingResult, own, {
      ...evaluation,
      index,
    }),
  );
  const model = adapter === undefined ? options.model : `${options.model} with ${adapter}`;
  const page = renderEvaluation({ model, data: options.data, evaluation: summary, baselines, rankings });
  await writeFileAtomic(join(options.output, 'evaluation.html'), page);
  await writeFileAtomic(join(options.output, 'evaluation.json'), `${JSON.stringify(record, undefined, 1)}\n`);
  await writeStdout(options.json ? `${JSON.stringify(record)}\n` : report(evaluation, baselines));
}

/** SASRec on the training users' sequences, on the device that the model was on. */
async function trainSasrec(
  session: Session,
  sequences: Sequences,
  instances: readonly RankingInstance[],
  { seed }: EvalOptions,
  { signal }: CommandContext,
): Promise<readonly MeasureResult[]> {
  const scorer = await sasrecScorer(session, sequences, instances, { seed, signal });
  return evaluateScorer(scorer, instances, { bootstrap: { seed } });
}

type Evaluated = ModelEvaluation & { readonly tokens: TokenUsage };

/** `calls`: those of the instances that the page shows, by their place in the data. */
async function evaluateModel(
  options: EvalOptions,
  instances: readonly RankingInstance[],
  loaded: LoadedModel,
  context: CommandContext,
): Promise<{ evaluation: Evaluated; calls: ReadonlyMap<number, RankingCall[]> }> {
  const { seed, maxTokens, temperature, malformed: policy, retries } = options;
  const { signal } = context;
  const progress = openProgress('ranked instances', options.json);
  const language = loaded.language();
  const protocol = await rankingProtocol(options, seed, instances, language);
  const generate = language.generator({ maxTokens, temperature, seed }, { signal });
  const shown = spread(instances.length, options.show);
  const calls = new Map(shown.map((index) => [index, [] as RankingCall[]]));
  const callsOf = new Map(shown.map((index) => [instances[index]?.id, calls.get(index)]));
  const evaluation = await evaluate(protocol, instances, generate, {
    malformed: { policy, retries },
    bootstrap: { seed },
    signal,
    onProgress: (done, total) => progress.update(done, total),
    onRound: (round) => {
      for (const call of round) callsOf.get(call.instanceId)?.push(call);
    },
  });
  progress.end();
  return { evaluation: { ...evaluation, tokens: language.usage }, calls };
}

/** Measures x 100 with 95 % intervals, one row a ranker; chance is exact. */
function report(evaluation: Evaluated, baselines: Readonly<Record<string, readonly MeasureResult[]>>): string {
  const { measures, exclusion, malformedByReason } = evaluation;
  const cell = ({ mean, low, high }: MeasureResult): string => `${percent(mean)} [${percent(low)}, ${percent(high)}]`;
  const rows = [
    ['chance', ...measures.map(({ chance }) => percent(chance))],
    ...Object.entries(baselines).map(([name, results]) => [name, ...results.map(cell)]),
    ['model', ...measures.map(cell)],
  ];
  const columns = [{ title: '' }, ...measures.map(({ name }) => ({ title: name, align: 'right' as const }))];
  const exclusionLine = exclusion
    ? `exclusion accuracy ${percent(exclusion.accuracy)} (chance ${percent(exclusion.chance)}) over ${exclusion.count} steps\n`
    : '';
  const reasons = Object.entries(malformedByReason).map(([reason, count]) => `${reason} ${count}`);
  return (
    formatTable(columns, rows) +
    exclusionLine +
    `malformed ${percent(evaluation.malformedRate)} % of completions${reasons.length > 0 ? ` (${reasons.join(', ')})` : ''}\n` +
    `${evaluation.instances} instances, ${evaluation.calls} calls, ${evaluation.completionTokens} tokens, ` +
    `${evaluation.tokens.prompt} prompt tokens (${evaluation.tokens.computedPrompt} computed), ` +
    `${evaluation.seconds.toFixed(1)} s\n`
  );
}
