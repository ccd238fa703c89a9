import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { WinnowError } from '../../errors.js';
import { type AnyProtocol, type LanguageModel, type RankingCall, rankStream } from '../../protocol/index.js';
import type { RankingInstance } from '../../types.js';
import type { CommandContext } from '../context.js';
import { withModelFolder } from '../model-folder.js';
import {
  adapterOption,
  addEngineOptions,
  type DTypeOption,
  dtypeOption,
  type EngineOptions,
  integerFrom,
  keyValueDtypeOption,
} from '../options.js';
import { writeStdout } from '../output.js';
import { openProgress } from '../progress.js';
import { addProtocolOptions, type ProtocolOptions, rankingProtocol } from '../protocol-option.js';
import { mergeRanking, type RankInput, type RunOrder, readRankInput, readRunOrder } from '../rank-input.js';
import { RankOutput } from '../rank-output.js';
import { addRankingOptions, type RankingOptions } from '../ranking-options.js';

interface RankOptions extends EngineOptions, ProtocolOptions, RankingOptions {
  readonly model: string;
  readonly run: string;
  readonly queries: string;
  readonly passages: string;
  readonly output: string;
  readonly adapter?: string;
  readonly dtype: DTypeOption;
  readonly keyValueDtype?: DTypeOption;
  readonly depth: number;
  readonly missing: 'fail' | 'keep';
  readonly log?: string;
  readonly resume: boolean;
  readonly inFlight: number;
  readonly tag: string;
}

/** `winnow rank`: asks a ranker about every query of a TREC run and writes the run in the new order. */
export function registerRank(program: Command, context: CommandContext): void {
  const command = program
    .command('rank')
    .description('a TREC run reranked, query by query, resumable')
    .requiredOption('--model <dir>', 'model folder in the Hugging Face layout')
    .requiredOption('--run <file>', 'TREC run; the lines of a query stand together')
    .requiredOption('--queries <file>', 'id TAB query, TREC topics, BEIR queries.jsonl or rank_llm requests')
    .requiredOption('--passages <file>', 'id TAB passage, BEIR corpus.jsonl or rank_llm requests')
    .requiredOption('--output <file>', 'TREC run')
    .option('--depth <k>', 'documents of a query to rank; those after them keep their order', integerFrom(1), 100)
    .addOption(
      new Option('--missing <how>', 'a query or document without a text: an error, or left where it is among the rest')
        .choices(['fail', 'keep'])
        .default('fail'),
    )
    .option('--log <file>', 'a line for each call: prompt, completion, tokens, verdict')
    .option('--resume', 'go on with an output that is not complete', false)
    .option('--in-flight <n>', 'queries asked about at once', integerFrom(1), 1024)
    .option('--tag <name>', 'last column of the output', 'winnow')
    .addOption(adapterOption())
    .addOption(dtypeOption())
    .addOption(keyValueDtypeOption());
  addEngineOptions(addProtocolOptions(addRankingOptions(command))).action((options: RankOptions) =>
    runRank(options, context),
  );
}

async function runRank(options: RankOptions, context: CommandContext): Promise<void> {
  const started = performance.now();
  const order = await readRunOrder(fileOf(options, 'run'));
  const files = { run: options.run, queries: fileOf(options, 'queries'), passages: fileOf(options, 'passages') };
  const { output, log, resume, tag } = options;
  const target = await RankOutput.open(order, {
    output,
    resume,
    tag,
    settings: decisive(options),
    ...(log === undefined ? {} : { log }),
  });
  try {
    const left = new Map([...order].filter(([id]) => !target.done.has(id)));
    const input = await readRankInput(left, files, options);
    for (const id of input.keptQueries) await target.write(id, order.get(id) as readonly string[]);
    const counts = await rankQueries(options, input, order, target, context);
    await target.finish();
    const summary = {
      run: options.run,
      output,
      queries: order.size,
      resumed: target.done.size,
      keptQueries: input.keptQueries.length,
      keptDocuments: input.keptDocuments,
      ...counts,
      seconds: (performance.now() - started) / 1000,
    };
    await writeStdout(options.json ? `${JSON.stringify(summary)}\n` : report(summary));
  } finally {
    await target.close();
  }
}

/** Every input is opened more than once. */
function fileOf(options: RankOptions, name: 'run' | 'queries' | 'passages'): string {
  if (options[name] !== '-') return options[name];
  throw new WinnowError('ERR_USAGE', `--${name} cannot be the standard input`, { expected: 'a file', received: '-' });
}

/** All that decides what is written. Device, threads and the number of queries in flight may change. */
function decisive(options: RankOptions): Record<string, unknown> {
  const {
    model,
    adapter,
    run,
    queries,
    passages,
    output: _,
    device,
    threads,
    json,
    resume,
    inFlight,
    log,
    ...others
  } = options;
  const file = (path: string) => ({ path: resolve(path), sizeBytes: existsSync(path) ? statSync(path).size : 0 });
  return {
    model: resolve(model),
    adapter: adapter === undefined ? null : resolve(adapter),
    run: file(run),
    queries: file(queries),
    passages: file(passages),
    ...others,
    log: log === undefined ? null : resolve(log),
  };
}

interface Counts {
  ranked: number;
  /** Ended by the policy `fail`; they keep the order of the run. */
  failed: number;
  calls: number;
  completionTokens: number;
  readonly malformed: Record<string, number>;
}

async function rankQueries(
  options: RankOptions,
  input: RankInput,
  order: RunOrder,
  target: RankOutput,
  context: CommandContext,
): Promise<Counts> {
  const counts: Counts = { ranked: 0, failed: 0, calls: 0, completionTokens: 0, malformed: {} };
  const before = target.done.size + input.keptQueries.length;
  if (before === order.size) return counts;
  const { maxTokens, temperature, seed, malformed: policy, retries, inFlight } = options;
  const { signal } = context;
  const progress = openProgress('ranked queries', options.json);
  await withModelFolder(options.model, options, context, async (loaded) => {
    const language = loaded.language();
    const protocol = await protocolFor(options, input, language);
    const generate = language.generator({ maxTokens, temperature, seed }, { signal });
    const onRound = async (calls: readonly RankingCall[]): Promise<void> => {
      await target.endRound(target.logs ? calls.map((call) => logLine(call, language)) : []);
    };
    const stream = rankStream(protocol, input.instances(), generate, {
      malformed: { policy, retries },
      inFlight,
      signal,
      onRound,
    });
    for await (const { instanceId, ranking, calls, completionTokens, malformed } of stream) {
      const documents = order.get(instanceId) as readonly string[];
      await target.write(instanceId, mergeRanking(documents, ranking ?? []));
      counts.ranked++;
      if (ranking === undefined) counts.failed++;
      counts.calls += calls;
      counts.completionTokens += completionTokens;
      for (const [reason, count] of Object.entries(malformed)) {
        counts.malformed[reason] = (counts.malformed[reason] ?? 0) + count;
      }
      progress.update(before + counts.ranked, order.size);
    }
  });
  progress.end();
  return counts;
}

/** Thoughts are looked up for all queries together; without them no instance is made before its turn. */
function protocolFor(options: RankOptions, input: RankInput, language: LanguageModel): Promise<AnyProtocol> {
  const instances: RankingInstance[] = options.thoughts === undefined ? [] : [...input.instances()];
  return rankingProtocol(options, options.seed, instances, language);
}

function logLine(call: RankingCall, language: LanguageModel): { key: string; text: string } {
  const { instanceId, step, place, attempt, prompt, shownIds, completion, answer, used } = call;
  const { messages, prefix, choices } = prompt;
  const record = {
    // First, because a resumed run finds the line by it.
    queryId: instanceId,
    step,
    place,
    attempt,
    prompt: choices === undefined ? { messages, prefix } : { messages, prefix, choices },
    shownIds,
    completion: completion.text,
    stop: completion.stop,
    promptTokens: language.render(prompt).length,
    completionTokens: completion.tokens.length,
    ...(completion.choiceLogprobs ? { choiceLogprobs: completion.choiceLogprobs } : {}),
    verdict: answer.ok
      ? { ok: true, ids: answer.ids, ...(answer.score === undefined ? {} : { score: answer.score }) }
      : { ok: false, reason: answer.reason, detail: answer.detail },
    used,
  };
  return { key: instanceId, text: `${JSON.stringify(record)}\n` };
}

function report(
  summary: Counts & Record<'queries' | 'resumed' | 'keptQueries' | 'keptDocuments' | 'seconds', number>,
): string {
  const { queries, resumed, ranked, failed, keptQueries, keptDocuments, calls, malformed } = summary;
  const reasons = Object.entries(malformed).map(([reason, count]) => `${reason} ${count}`);
  const sum = Object.values(malformed).reduce((total, count) => total + count, 0);
  const also = [
    resumed > 0 ? `${resumed} were there before` : '',
    keptQueries > 0 ? `${keptQueries} kept without texts` : '',
    keptDocuments > 0 ? `${keptDocuments} documents kept without a text` : '',
    failed > 0 ? `${failed} failed and kept their order` : '',
  ].filter((text) => text !== '');
  return (
    `${ranked} of ${queries} queries ranked${also.map((text) => `, ${text}`).join('')}\n` +
    `malformed ${sum} of ${calls} completions${reasons.length > 0 ? ` (${reasons.join(', ')})` : ''}\n` +
    `${summary.completionTokens} tokens, ${summary.seconds.toFixed(1)} s\n`
  );
}
