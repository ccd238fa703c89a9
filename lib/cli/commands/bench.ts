import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { type Command, Option } from 'commander';
import { WinnowError } from '../../errors.js';
import { type BenchRecord, makeRecords, peakLine, recordTable } from '../bench/record.js';
import { type BenchShape, benchShapes } from '../bench/shapes.js';
import { type BenchSettings, runTrial, type Trial } from '../bench/trial.js';
import { type WorkloadName, workloads } from '../bench/workloads.js';
import type { CommandContext } from '../context.js';
import {
  addEngineOptions,
  type DTypeOption,
  dtypeOption,
  type EngineOptions,
  integerFrom,
  withSession,
} from '../options.js';
import { writeStdout } from '../output.js';

interface BenchOptions extends EngineOptions {
  readonly dtype: DTypeOption;
  readonly shape: BenchShape;
  readonly trials: number;
  readonly prompt: number;
  readonly completion: number;
  readonly group: number;
  readonly trial: boolean;
}

const names = Object.keys(workloads) as WorkloadName[];

/** `winnow bench`: each trial in a process of its own; a table, then one JSON record a line. */
export function registerBench(program: Command, context: CommandContext): void {
  const command = program
    .command('bench')
    .description('speed of the engine against what the machine can do')
    .argument('[name]', `one of ${names.join(', ')}; default: all`)
    .addOption(dtypeOption('bf16'))
    .addOption(
      new Option('--shape <name>', 'decoder with random weights')
        .choices(Object.keys(benchShapes))
        .default('qwen2.5-0.5b'),
    )
    .option('--trials <n>', 'processes per benchmark', integerFrom(1), 3)
    .option('--prompt <tokens>', 'prompt of the GRPO step', integerFrom(1), 256)
    .option('--completion <tokens>', 'completions of the GRPO step', integerFrom(2), 64)
    .option('--group <n>', 'completions of the GRPO step', integerFrom(1), 8)
    .addOption(new Option('--trial', 'measure once in this process and print the raw figures').hideHelp());
  addEngineOptions(command).action((name: string | undefined, options: BenchOptions) =>
    options.trial ? printTrial(requireName(name ?? ''), options) : printRecords(name, options, context),
  );
}

function requireName(name: string): WorkloadName {
  if (Object.hasOwn(workloads, name)) return name as WorkloadName;
  throw new WinnowError('ERR_USAGE', 'there is no such benchmark', { expected: names.join(', '), received: name });
}

async function printTrial(name: WorkloadName, options: BenchOptions): Promise<void> {
  const settings: BenchSettings = options;
  const trial = await withSession(options, (session) =>
    runTrial(session, settings.dtype, (open) => workloads[name](open, settings)),
  );
  await writeStdout(`${JSON.stringify(trial)}\n`);
}

async function printRecords(name: string | undefined, options: BenchOptions, context: CommandContext): Promise<void> {
  const records: BenchRecord[] = [];
  for (const workload of name === undefined ? names : [requireName(name)]) {
    const trials: Trial[] = [];
    for (let number = 1; number <= options.trials; number++) {
      process.stderr.write(`${workload}: trial ${number} of ${options.trials}\n`);
      trials.push(await runTrialProcess(workload, options, context));
    }
    const made = makeRecords(trials, options);
    records.push(...made);
    const limits = trials.map(peakLine).at(-1) ?? '';
    if (!options.json) await writeStdout(made.length > 0 ? `${limits}${recordTable(made)}\n` : `${limits}\n`);
  }
  for (const record of records) await writeStdout(`${JSON.stringify(record)}\n`);
}

/** Runs `winnow bench NAME --trial` with the same options. */
async function runTrialProcess(name: WorkloadName, options: BenchOptions, context: CommandContext): Promise<Trial> {
  const { device, threads, dtype, shape, prompt, completion, group } = options;
  const flags = Object.entries({ device, threads, dtype, shape, prompt, completion, group });
  const script = process.argv[1] as string;
  const child = spawn(
    process.execPath,
    [script, 'bench', name, '--trial', ...flags.flatMap(([flag, value]) => [`--${flag}`, String(value)])],
    { stdio: ['ignore', 'pipe', 'inherit'], signal: context.signal },
  );
  const [output, [status]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  if (status !== 0)
    throw new WinnowError('ERR_BENCHMARK', `the process of benchmark ${name} failed`, {
      received: `exit code ${status}`,
    });
  return JSON.parse(output) as Trial;
}
