import type { Command } from 'commander';
import type { CommandContext } from '../context.js';
import { type LoadedModel, withModelFolder } from '../model-folder.js';
import {
  adapterOption,
  addEngineOptions,
  type DTypeOption,
  dtypeOption,
  type EngineOptions,
  keyValueDtypeOption,
} from '../options.js';
import { logprobsToJson, writeRecords } from '../output.js';
import { openProgress } from '../progress.js';
import { overLines, readBatches } from '../requests.js';

interface ScoreOptions extends EngineOptions {
  readonly model: string;
  readonly input: string;
  readonly output: string;
  readonly adapter?: string;
  readonly dtype: DTypeOption;
  readonly keyValueDtype?: DTypeOption;
}

/** Lines that cross to the engine together; those with a common beginning share its computation. */
const BATCH = { maxLines: 512, maxTokens: 65_536, room: 0 };

/** `winnow score`: log p(token i | tokens before i) at temperature 1, one line per input line. */
export function registerScore(program: Command, context: CommandContext): void {
  const command = program
    .command('score')
    .description('log-probabilities of given texts')
    .requiredOption('--model <dir>', 'model folder in the Hugging Face layout')
    .requiredOption('--input <file>', 'lines {"tokens": [...]} or {"text": ...}; - = standard input')
    .requiredOption('--output <file>', 'lines {"logprobs": [null, ...]}; - = standard output')
    .addOption(adapterOption())
    .addOption(dtypeOption())
    .addOption(keyValueDtypeOption());
  addEngineOptions(command).action((options: ScoreOptions) =>
    withModelFolder(options.model, options, context, (loaded) =>
      writeRecords(options.output, scores(options, loaded, context)),
    ),
  );
}

async function* scores(options: ScoreOptions, loaded: LoadedModel, context: CommandContext): AsyncGenerator<unknown> {
  const progress = openProgress('scored lines', options.json);
  let done = 0;
  for await (const batch of readBatches(options.input, ['tokens', 'text'], loaded, BATCH)) {
    const sequences = batch.map((request) => request.tokens);
    const results = await overLines(batch, () => loaded.model.score({ sequences }, { signal: context.signal }));
    for (const logprobs of results) yield { logprobs: logprobsToJson(logprobs) };
    done += batch.length;
    progress.update(done);
  }
  progress.end();
}
