/** `winnow demo`: the main job end to end on a task that it makes itself. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { formatTable, percent } from '../../eval/index.js';
import { usedMeasures } from '../../report/index.js';
import { parseConfig, type TrainResult } from '../../train/index.js';
import type { CommandContext } from '../context.js';
import { demoConfig } from '../demo-config.js';
import { addEngineOptions, type EngineOptions, integerFrom } from '../options.js';
import { writeStdout } from '../output.js';
import { collectSets, engineSets, reportPath, runWithReports } from './train.js';

interface DemoFlags extends EngineOptions {
  readonly output?: string;
  readonly seed: number;
  readonly set: readonly string[];
  readonly printConfig: boolean;
}

export function registerDemo(program: Command, context: CommandContext): void {
  const command = program
    .command('demo')
    .description('teach a small model to rank by elimination, in a few minutes on a CPU')
    .option('--output <folder>', 'run folder (default: a new one under runs/)')
    .option('--seed <n>', 'seed of the task, the weights and the sampling', integerFrom(0), 1)
    .option('--set <key=value>', 'change a setting; may be repeated', collectSets, [])
    .option('--print-config', 'print the settings as YAML for winnow train, and stop', false);
  addEngineOptions(command).action(async (flags: DemoFlags, self: Command) => {
    const yaml = stringify(demoConfig(flags.output ?? newFolder('runs/demo'), flags.seed));
    if (flags.printConfig) return writeStdout(yaml);
    const config = parseConfig(yaml, 'the demo', [...engineSets(flags, self), ...flags.set]);
    const started = performance.now();
    const result = await runWithReports(config, { json: flags.json, resume: false, context });
    if (flags.json) return writeStdout(`${JSON.stringify(result)}\n`);
    const seconds = (performance.now() - started) / 1000;
    await writeStdout(
      `\n${resultTable(result)}\n${gainLines(result)}\nreport: ${reportPath(config)}  (${Math.round(seconds)} s)\n`,
    );
  });
}

/** `base`, or the first of base-2, base-3, ... that does not exist. */
function newFolder(base: string): string {
  let folder = base;
  for (let number = 2; existsSync(folder); number++) folder = `${base}-${number}`;
  return folder;
}

/** The rows of the evaluation, times 100, each with its 95 % bootstrap interval. */
export function resultTable({ evaluations }: Pick<TrainResult, 'evaluations'>): string {
  const rows = evaluations.filter(({ kind }) => kind !== 'progress');
  const measures = usedMeasures(rows);
  const columns = ['', ...measures.map(([, label]) => label)];
  const cells = rows.map(({ label, measures: values }) => [
    label,
    ...measures.map(([name]) => {
      const value = values[name];
      if (value === undefined) return '';
      if (value.low === value.high) return percent(value.mean);
      return `${percent(value.mean)} [${percent(value.low)}, ${percent(value.high)}]`;
    }),
  ]);
  return formatTable(
    columns.map((title, index) => ({ title, align: index === 0 ? 'left' : 'right' })),
    cells,
  );
}

/** What the last stage gained, per measure, paired by instance. */
export function gainLines({ comparisons }: Pick<TrainResult, 'comparisons'>): string {
  const last = comparisons.at(-1);
  const gain = last?.gains.mrr;
  if (last === undefined || gain === undefined) return '';
  const verdict =
    gain.low > 0 ? 'clear of zero' : gain.high < 0 ? 'below zero: it was better before' : 'not clear of zero';
  const sign = gain.mean >= 0 ? '+' : '';
  return `${last.label} against ${last.baseline}: MRR ${sign}${percent(gain.mean)}, 95 % interval of the paired gain [${percent(gain.low)}, ${percent(gain.high)}], ${verdict}\n`;
}
