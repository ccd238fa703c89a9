/** `winnow train CONFIG.yaml`: a run folder with checkpoints, metrics.jsonl and report.html. */

import { totalmem } from 'node:os';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { ConsoleReporter, LiveReport, planText, TensorBoardWriter } from '../../report/index.js';
import {
  type PresetName,
  parseConfig,
  planRun,
  type ResolvedConfig,
  readConfig,
  type TrainResult,
  train,
} from '../../train/index.js';
import type { CommandContext } from '../context.js';
import { addEngineOptions, type EngineOptions, requireTogether } from '../options.js';
import { writeStdout } from '../output.js';

interface TrainFlags extends EngineOptions {
  readonly preset?: string;
  readonly set: readonly string[];
  readonly resume: boolean;
  readonly dryRun: boolean;
}

export function registerTrain(program: Command, context: CommandContext): void {
  const command = program
    .command('train')
    .description('train a ranker as a YAML file or a preset says')
    .argument('[config]', 'YAML file; may be left out with --preset')
    .option('--preset <name>', 'settings of a published system, under those of the file: see docs/presets.md')
    .addOption(new Option('--set <key=value>', 'change a setting; may be repeated').default([]).argParser(collectSets))
    .option('--resume', 'continue from the newest complete checkpoint', false)
    .option(
      '--dry-run',
      'print memory, tokens a step, time by a short probe and the first prompts; write nothing',
      false,
    );
  addEngineOptions(command).action(async (path: string | undefined, flags: TrainFlags, self: Command) => {
    const config = configOf(path, flags, [...engineSets(flags, self), ...flags.set]);
    if (flags.dryRun) return printPlan(config, flags.json, context.signal);
    const result = await runWithReports(config, { ...flags, context });
    if (flags.json) await writeStdout(`${JSON.stringify(result)}\n`);
    else await writeStdout(`${result.checkpoint ?? result.output}\n${reportPath(config)}\n`);
  });
}

function configOf(path: string | undefined, { preset: name }: TrainFlags, sets: string[]): ResolvedConfig {
  requireTogether(path !== undefined || name !== undefined, 'a YAML file or --preset', 'training');
  // A name that is not there is told by the reader, which knows them all.
  const preset = name as PresetName | undefined;
  return path === undefined ? parseConfig('', `--preset ${name}`, sets, preset) : readConfig(path, sets, preset);
}

async function printPlan(config: ResolvedConfig, json: boolean, signal: AbortSignal): Promise<void> {
  const plan = await planRun(config, { signal });
  await writeStdout(json ? `${JSON.stringify(plan)}\n` : planText(plan, totalmem()));
}

/**
 * A run with its console lines and its HTML page. A first signal ends it in order, with a checkpoint; the signal's error is
 * thrown then, so that the exit code tells it.
 */
export async function runWithReports(
  config: ResolvedConfig,
  options: { readonly json: boolean; readonly resume: boolean; readonly context: CommandContext },
): Promise<TrainResult> {
  const { signal } = options.context;
  const run = train(config, { resume: options.resume });
  const reporter = new ConsoleReporter({ stream: process.stderr, json: options.json });
  const report = new LiveReport(config.report.everySteps);
  const tensorBoard = config.report.tensorBoard ? new TensorBoardWriter() : undefined;
  const stop = () => run.stop();
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    for await (const event of run) {
      report.on(event);
      tensorBoard?.on(event);
      reporter.on(event);
    }
  } catch (error) {
    report.failed();
    throw error;
  } finally {
    reporter.end();
    tensorBoard?.close();
    signal.removeEventListener('abort', stop);
  }
  const result = await run;
  if (result.status === 'stopped') signal.throwIfAborted();
  return result;
}

export function reportPath(config: ResolvedConfig): string {
  return join(config.output, 'report.html');
}

/** Gathers a flag that may be repeated. */
export function collectSets(value: string, held: readonly string[]): string[] {
  return [...held, value];
}

/** Flags that were given count more than the file; those left out leave it alone. */
export function engineSets({ device, threads }: EngineOptions, command: Command): string[] {
  const given = (name: string) => command.getOptionValueSource(name) === 'cli';
  return [...(given('device') ? [`device=${device}`] : []), ...(given('threads') ? [`threads=${threads}`] : [])];
}
