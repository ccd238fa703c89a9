import type { Command } from 'commander';
import { Tokenizer } from '../../text/index.js';
import type { CommandContext } from '../context.js';
import { addEngineOptions, type EngineOptions } from '../options.js';
import { writeRecords } from '../output.js';
import { readRequests, requestText } from '../requests.js';

interface TokenizeOptions extends EngineOptions {
  readonly model: string;
  readonly input: string;
  readonly output: string;
}

/** `winnow tokenize`: the tokens of texts and rendered chats. Loads no weights. */
export function registerTokenize(program: Command, context: CommandContext): void {
  const command = program
    .command('tokenize')
    .description('tokens of texts and chats')
    .requiredOption('--model <dir>', 'model folder with tokenizer.json')
    .requiredOption('--input <file>', 'lines {"text": ...} or {"messages": [...]}; - = standard input')
    .option('--output <file>', 'lines {"tokens": [...], "text": ...}; - = standard output', '-');
  addEngineOptions(command).action(async (options: TokenizeOptions) => {
    const tokenizer = Tokenizer.fromFolder(options.model);
    await writeRecords(options.output, tokenized(options.input, tokenizer, context));
  });
}

async function* tokenized(path: string, tokenizer: Tokenizer, context: CommandContext): AsyncGenerator<unknown> {
  for await (const line of readRequests(path, ['text', 'messages'])) {
    context.signal.throwIfAborted();
    const text = requestText(line, tokenizer);
    yield { tokens: Array.from(tokenizer.encode(text)), text };
  }
}
