import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { WinnowError } from '../../errors.js';
import { readModelFolder, writeModelConfig } from '../../native/index.js';
import { Tokenizer } from '../../text/index.js';
import type { CommandContext } from '../context.js';
import { withModelFolder } from '../model-folder.js';
import { addEngineOptions, type DTypeOption, dtypeOption, type EngineOptions } from '../options.js';
import { writeStdout } from '../output.js';

interface MergeOptions extends EngineOptions {
  readonly model: string;
  readonly adapter: string;
  readonly output: string;
  readonly dtype: DTypeOption;
}

const kWeights = 'model.safetensors';

/** `winnow merge`: a model folder with the adapter added to its weights. The sum is in f32, and rounded once to `--dtype`. */
export function registerMerge(program: Command, context: CommandContext): void {
  const command = program
    .command('merge')
    .description('a LoRA adapter added to the weights of its model')
    .requiredOption('--model <dir>', 'model folder in the Hugging Face layout')
    .requiredOption('--adapter <dir>', 'adapter that PEFT or a run with model.lora wrote')
    .requiredOption('--output <dir>', 'new model folder')
    .addOption(dtypeOption());
  addEngineOptions(command).action((options: MergeOptions) => runMerge(options, context));
}

async function runMerge(options: MergeOptions, context: CommandContext): Promise<void> {
  const { model: folder, adapter, output, dtype } = options;
  const path = join(output, kWeights);
  if (existsSync(path)) {
    throw new WinnowError('ERR_OUTPUT_EXISTS', `${output} already holds a model`, {
      expected: 'a new or empty folder',
      received: kWeights,
    });
  }
  const { config, eosTokenIds } = readModelFolder(folder);
  const tokenizer = existsSync(join(folder, 'tokenizer.json')) ? Tokenizer.fromFolder(folder) : undefined;
  await withModelFolder(folder, options, context, async ({ model }) => {
    mkdirSync(output, { recursive: true });
    const padTokenId = tokenizer?.padTokenId;
    writeModelConfig(output, config, { eosTokenIds, ...(padTokenId === undefined ? {} : { padTokenId }) });
    tokenizer?.saveTo(output);
    // Last, so that a folder with weights is whole.
    await model.saveMerged(path, dtype, { signal: context.signal });
  });
  await writeStdout(options.json ? `${JSON.stringify({ model: folder, adapter, output, dtype })}\n` : `${output}\n`);
}
