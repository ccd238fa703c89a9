/** The program: every command, and one way to fail. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { WinnowError } from '../errors.js';
import { nearest } from '../train/nearest.js';
import { registerBench } from './commands/bench.js';
import { registerData } from './commands/data.js';
import { registerDemo } from './commands/demo.js';
import { registerDoctor } from './commands/doctor.js';
import { registerEval } from './commands/eval.js';
import { registerGenerate } from './commands/generate.js';
import { registerMeasure } from './commands/measure.js';
import { registerMerge } from './commands/merge.js';
import { registerRank } from './commands/rank.js';
import { registerScore } from './commands/score.js';
import { registerTokenize } from './commands/tokenize.js';
import { registerTrain } from './commands/train.js';
import { InterruptedError, interruptibleContext, type RegisterCommand } from './context.js';

/** In the order of the help. */
export const commands: readonly RegisterCommand[] = [
  registerDemo,
  registerDoctor,
  registerTrain,
  registerEval,
  registerMeasure,
  registerRank,
  registerScore,
  registerMerge,
  registerGenerate,
  registerTokenize,
  registerData,
  registerBench,
];

export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/**
 * Runs one command line and sets process.exitCode: 0, 1 after an error, 2 after wrong usage, 130 after Ctrl-C. An error is one
 * line on stderr, `error[CODE]: what, expected, received, hint`.
 */
export async function runCommandLine(args: readonly string[]): Promise<void> {
  const { context, release } = interruptibleContext();
  // A reader that has seen enough (`winnow ... | head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  const program = new Command('winnow')
    .description('Train and run reasoning LLM rankers')
    .version(packageVersion())
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .showSuggestionAfterError();
  for (const register of commands) register(program, context);
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    const cause = error instanceof CommanderError ? (misspeltFlag(program, args) ?? error) : error;
    process.exitCode = report(context.signal.aborted ? context.signal.reason : cause);
  } finally {
    release();
  }
}

/** Prints the error and tells the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError && (error.exitCode === 0 || error.code === 'commander.help'))
    return error.exitCode;
  const known = error instanceof CommanderError ? usageError(error) : asWinnowError(error);
  process.stderr.write(`${known.toLine()}\n`);
  if (known instanceof InterruptedError) return known.exitCode;
  if (known.code === 'ERR_INTERNAL' && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return known.code === 'ERR_USAGE' ? 2 : 1;
}

/** Commander tells of a missing option first; when a flag is unknown, that is the better story: most often it is a misspelling. */
function misspeltFlag(program: Command, args: readonly string[]): WinnowError | undefined {
  let command = program;
  for (const word of args) command = command.commands.find((one) => one.name() === word) ?? command;
  const known = ['--help', ...[...program.options, ...command.options].flatMap(({ long }) => long ?? [])];
  const end = args.indexOf('--');
  const flags = args.slice(0, end < 0 ? args.length : end).flatMap((word) => word.match(/^--[a-z][^=]*/) ?? []);
  const unknown = flags.find((flag) => !known.includes(flag));
  if (unknown === undefined) return undefined;
  const suggestion = nearest(unknown, known);
  const hint = suggestion ? `did you mean ${suggestion}?` : `see winnow ${command.name()} --help`;
  return new WinnowError('ERR_USAGE', `unknown option '${unknown}'`, { hint });
}

function usageError(error: CommanderError): WinnowError {
  const [message = '', suggestion] = error.message.replace(/^error: /, '').split('\n');
  const hint = suggestion?.match(/Did you mean (.+)\?/)?.[1];
  return new WinnowError('ERR_USAGE', message, { hint: hint ? `did you mean ${hint}?` : 'see winnow --help' });
}

/** Anything but a WinnowError is a defect of ours and shows its stack. */
function asWinnowError(error: unknown): WinnowError {
  if (error instanceof WinnowError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new WinnowError('ERR_INTERNAL', message, {
    hint: 'this is a defect of winnow; please report it',
    cause: error,
  });
}
