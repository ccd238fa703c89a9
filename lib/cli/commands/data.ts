import { type Command, Option } from 'commander';
import { buildTask, taskNames } from '../../tasks/index.js';
import type { CommandContext } from '../context.js';
import { addEngineOptions, type EngineOptions, integerFrom, numberWithin } from '../options.js';
import { writeStdout } from '../output.js';

interface BuildOptions extends EngineOptions {
  readonly source?: string;
  readonly output: string;
  readonly seed: number;
  readonly users?: number;
  readonly negatives?: number;
  readonly window?: 'first' | 'last';
  readonly testShare?: number;
}

/** `winnow data build`: raw files -> train.jsonl, test.jsonl and card.json. */
export function registerData(program: Command, _context: CommandContext): void {
  const data = program.command('data').description('data sets of ranking instances');
  const build = data
    .command('build')
    .description('raw files -> train.jsonl, test.jsonl and a card.json of counts, seeds and checks')
    .argument('<task>', taskNames.join(', '))
    .option('--source <dir>', 'folder with the raw files')
    .requiredOption('--output <dir>', 'folder to write')
    .option('--seed <s>', 'of the split and of the negatives', integerFrom(0), 0)
    .option('--users <n>', 'only that many users', integerFrom(1))
    .option('--negatives <n>', 'other candidates beside the target', integerFrom(1))
    .addOption(new Option('--window <which>', 'which interactions of a user').choices(['first', 'last']))
    .option('--test-share <fraction>', 'share of the users on the test side', numberWithin(0, 1));
  addEngineOptions(build).action(async (task: string, options: BuildOptions) => {
    const { device: _, threads: __, json, ...settings } = options;
    const card = await buildTask(task, settings);
    await writeStdout(json ? `${JSON.stringify(card)}\n` : describeCard(card, settings.output));
  });
}

function describeCard(card: Readonly<Record<string, unknown>>, output: string): string {
  const lines = Object.entries(card).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  return `${lines.join('\n')}\nwritten to ${output}\n`;
}
