import { appendFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Command, Option } from 'commander';
import { writeFileAtomic } from '../../data/atomic-file.js';
import { WinnowError } from '../../errors.js';
import { growthPlot } from '../bench/growth.js';
import type { BenchRecord } from '../bench/record.js';
import { BenchRun } from '../bench/run.js';
import { type BenchShape, benchShapes } from '../bench/shapes.js';
import { peakLine, phaseTable, recordTable } from '../bench/table.js';
import { runTask, type TrialRequest } from '../bench/trial.js';
import { type WorkloadName, workloadNames, workloads } from '../bench/workloads/index.js';
import type { CommandContext } from '../context.js';
import { addEngineOptions, type DTypeOption, dtypeOption, type EngineOptions, integerFrom } from '../options.js';
import { writeStdout } from '../output.js';

interface BenchOptions extends EngineOptions {
  readonly dtype: DTypeOption;
  readonly shape: BenchShape;
  readonly trials: number;
  readonly repeats: number;
  readonly minutes?: number;
  readonly prompt: number;
  readonly completion: number;
  readonly group: number;
  readonly queries: number;
  readonly peerQueries?: number;
  readonly peers?: string;
  readonly peer: readonly string[];
  readonly peerTimeout: number;
  readonly scratch: string;
  readonly output?: string;
  readonly plot?: string;
  readonly trial: boolean;
}

/** `winnow bench`: each trial in a process of its own, peers in between; a table, then one JSON record a line. */
export function registerBench(program: Command, context: CommandContext): void {
  const command = program
    .command('bench')
    .description('speed of the engine against what the machine can do, and beside other systems')
    .argument('[names...]', `of ${workloadNames.join(', ')}; default: all`)
    .addOption(dtypeOption('bf16'))
    .addOption(
      new Option('--shape <name>', 'decoder with random weights')
        .choices(Object.keys(benchShapes))
        .default('qwen2.5-0.5b'),
    )
    .option('--trials <n>', 'processes per benchmark and side', integerFrom(1), 7)
    .option('--repeats <n>', 'at most so many rounds more, in place of disturbed ones', integerFrom(0), 3)
    .option('--minutes <n>', 'of a benchmark: no further round begins after them; default: no limit', integerFrom(1))
    .option('--prompt <tokens>', 'prompt of the GRPO step; 4 times as many in grpo-long', integerFrom(1), 256)
    .option('--completion <tokens>', 'completions of the GRPO step; twice as many in grpo-long', integerFrom(2), 64)
    .option('--group <n>', 'completions of the GRPO step', integerFrom(1), 8)
    .option('--queries <n>', 'rankings of the exclusion', integerFrom(1), 32)
    .option('--peer-queries <n>', 'rankings that a peer does of them; default: all', integerFrom(1))
    .option('--peers <file>', 'times other systems too: bench/peers/run, or a program that speaks like it')
    .option('--peer <name[:dtype]>', 'one of the peers; may be given again; default: all', collect, [])
    .option('--peer-timeout <seconds>', 'a trial of a peer that takes longer has failed', integerFrom(1), 900)
    .option('--scratch <dir>', 'keeps the model folder that all sides read', join(tmpdir(), 'winnow-bench'))
    .option('--plot <file>', 'of growth; default: growth.svg in the scratch folder')
    .option('--output <file>', 'appends each record as soon as it is made')
    .addOption(new Option('--trial', 'one task, read from the standard input as JSON').hideHelp());
  addEngineOptions(command).action((given: readonly string[], options: BenchOptions) =>
    options.trial ? runTrial() : printRecords(given.map(requireName), options, context),
  );
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value];

function requireName(name: string): WorkloadName {
  if (Object.hasOwn(workloads, name)) return name as WorkloadName;
  throw new WinnowError('ERR_USAGE', 'there is no such benchmark', {
    expected: workloadNames.join(', '),
    received: name,
  });
}

async function runTrial(): Promise<void> {
  const request = JSON.parse(await text(process.stdin)) as TrialRequest;
  await writeStdout(`${JSON.stringify(await runTask(request))}\n`);
}

async function printRecords(names: readonly WorkloadName[], options: BenchOptions, context: CommandContext) {
  const { dtype, shape, threads, prompt, completion, group, queries } = options;
  const peerQueries = Math.min(options.peerQueries ?? queries, queries);
  const run = new BenchRun({
    device: options.device,
    settings: { dtype, shape, threads, prompt, completion, group, queries, peerQueries },
    trials: options.trials,
    repeats: options.repeats,
    minutes: options.minutes ?? Number.POSITIVE_INFINITY,
    scratch: options.scratch,
    peers: options.peers,
    peerChoices: options.peer,
    peerTimeoutSeconds: options.peerTimeout,
    signal: context.signal,
    note: (line) => process.stderr.write(`${line}\n`),
  });
  await run.prepare();
  const records: BenchRecord[] = [];
  for await (const record of run.records(names.length > 0 ? names : workloadNames)) {
    records.push(record);
    const line = `${JSON.stringify(record)}\n`;
    if (options.output !== undefined) await appendFile(options.output, line);
    if (options.json) await writeStdout(line);
    else process.stderr.write(recordTable([record]));
  }
  await writePlot(records, options.plot ?? join(options.scratch, 'growth.svg'));
  if (!options.json) await writeStdout(forPeople(records));
}

async function writePlot(records: readonly BenchRecord[], path: string): Promise<void> {
  const lines = records.flatMap(({ benchmark, points }) =>
    points === undefined ? [] : [{ name: benchmark.replace('growth with ', ''), points }],
  );
  if (lines.length === 0) return;
  await writeFileAtomic(path, [growthPlot(lines, 'Cost of GRPO steps and rankings')]);
  process.stderr.write(`${path}\n`);
}

function forPeople(records: readonly BenchRecord[]): string {
  const last = records.at(-1);
  if (last === undefined) return '';
  const { peakFlopsPerSecond: flopsPerSecond, peakBytesPerSecond: bytesPerSecond } = last;
  const tables = [peakLine(last, { flopsPerSecond, bytesPerSecond }), recordTable(records)];
  const phases = records.map(phaseTable).filter((table) => table !== '');
  return [...tables, ...phases, records.map((record) => `${JSON.stringify(record)}\n`).join('')].join('\n');
}
