import type { Command } from 'commander';
import { WinnowError } from '../../errors.js';
import type { Completion } from '../../types.js';
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
  numberWithin,
} from '../options.js';
import { logprobsToJson, writeRecords } from '../output.js';
import { openProgress, type Progress } from '../progress.js';
import { overLines, readBatches, type TokenRequest } from '../requests.js';

interface GenerateOptions extends EngineOptions {
  readonly model: string;
  readonly input: string;
  readonly output: string;
  readonly adapter?: string;
  readonly dtype: DTypeOption;
  readonly keyValueDtype?: DTypeOption;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  readonly n: number;
  readonly seed: number;
  readonly ignoreEos: boolean;
  readonly stop: readonly string[];
}

/** Prompts that cross to the engine together; it decodes them in a moving batch of its own. */
const BATCH = { maxLines: 1024, maxTokens: 262_144, room: 1 };

const MAX_TEMPERATURE = 100;

/** `winnow generate`: samples continuations; what a line gets depends on (seed, its place, sample) alone. */
export function registerGenerate(program: Command, context: CommandContext): void {
  const command = program
    .command('generate')
    .description('sampled or greedy continuations of prompts')
    .requiredOption('--model <dir>', 'model folder in the Hugging Face layout')
    .requiredOption(
      '--input <file>',
      'lines {"tokens": [...]}, {"prompt": ...} or {"messages": [...]}; - = standard input',
    )
    .requiredOption('--output <file>', 'lines {"completions": [{tokens, text, logprobs, stop}]}; - = standard output')
    .option('--max-tokens <n>', 'most new tokens of a completion', integerFrom(1), 128)
    .option('--temperature <t>', '0 = greedy', numberWithin(0, MAX_TEMPERATURE), 1)
    .option('--top-p <p>', 'smallest set of tokens with this probability; 1 = off', numberWithin(0, 1), 1)
    .option('--top-k <k>', 'most likely k tokens; 0 = off', integerFrom(0), 0)
    .option('--min-p <p>', 'tokens at least this fraction of the likeliest; 0 = off', numberWithin(0, 1), 0)
    .option('--n <g>', 'completions per line', integerFrom(1), 1)
    .option('--seed <s>', 'of the random numbers', integerFrom(0), 0)
    .option('--ignore-eos', 'go on after an end token', false)
    .option(
      '--stop <text>',
      'text that ends a completion; may be repeated',
      (text, all: string[]) => [...all, text],
      [],
    )
    .addOption(adapterOption())
    .addOption(dtypeOption())
    .addOption(keyValueDtypeOption());
  addEngineOptions(command).action((options: GenerateOptions) =>
    withModelFolder(options.model, options, context, (loaded) =>
      writeRecords(options.output, completions(options, loaded, context)),
    ),
  );
}

async function* completions(
  options: GenerateOptions,
  loaded: LoadedModel,
  context: CommandContext,
): AsyncGenerator<unknown> {
  const progress = openProgress('generated tokens', options.json);
  const settings = samplingSettings(options, loaded);
  for await (const batch of readBatches(options.input, ['tokens', 'prompt', 'messages'], loaded, BATCH)) {
    const results = await overLines(batch, () => generateBatch(batch, settings, loaded, context, progress));
    for (const line of results) yield { completions: line.map((completion) => toRecord(completion, loaded)) };
  }
  progress.end();
}

function samplingSettings(options: GenerateOptions, loaded: LoadedModel) {
  if (options.stop.includes('')) throw new WinnowError('ERR_USAGE', '--stop is empty', { expected: 'some text' });
  return {
    maxTokens: options.maxTokens,
    temperature: options.temperature,
    topK: options.topK,
    topP: options.topP,
    minP: options.minP,
    seed: options.seed,
    completionsPerPrompt: options.n,
    ignoreStopTokens: options.ignoreEos,
    stopTokens: [...loaded.eosTokenIds],
    ...(options.stop.length > 0
      ? { stopStrings: [...options.stop], tokenBytes: loaded.language().tokenizer.tokenBytes() }
      : {}),
  };
}

async function generateBatch(
  batch: readonly TokenRequest[],
  settings: ReturnType<typeof samplingSettings>,
  loaded: LoadedModel,
  context: CommandContext,
  progress: Progress,
) {
  const { completions } = await loaded.model.generate(
    {
      ...settings,
      prompts: batch.map((request) => request.tokens),
      promptKeys: batch.map((request) => request.index),
    },
    { signal: context.signal, onProgress: (done, total) => progress.update(done, total) },
  );
  return completions;
}

/** The text leaves out the token that ended it; it is null when the folder has no tokenizer. */
function toRecord({ tokens, logprobs, stop }: Omit<Completion, 'text'>, loaded: LoadedModel): unknown {
  const text = loaded.hasTokenizer ? loaded.language().textOf(tokens, stop) : null;
  return { tokens: Array.from(tokens), text, logprobs: logprobsToJson(logprobs), stop };
}
