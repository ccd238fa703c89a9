import { type Command, Option } from 'commander';
import { type BuildTaskOptions, buildTask, taskNames } from '../../tasks/index.js';
import { Tokenizer } from '../../text/index.js';
import type { CommandContext } from '../context.js';
import { addEngineOptions, type EngineOptions, integerFrom, numberWithin } from '../options.js';
import { writeStdout } from '../output.js';

interface BuildOptions extends EngineOptions, BuildTaskOptions {
  readonly tokenizer?: string;
}

const choice = (flags: string, description: string, values: readonly string[]): Option =>
  new Option(flags, description).choices(values);

/** One task takes a few of these; `buildTask` refuses the others. */
function addTaskOptions(command: Command): Command {
  return command
    .option('--seed <s>', 'of the split and of every draw (0)', integerFrom(0))
    .option('--test-share <fraction>', 'share of the users or queries on the test side', numberWithin(0, 1))
    .option('--users <n>', 'Rec-*, synthetic: only that many users', integerFrom(1))
    .option('--history <n>', 'Rec-*, synthetic: past items shown', integerFrom(1))
    .option('--negatives <n>', 'Rec-*, rank-r1: other candidates beside the right one', integerFrom(1))
    .addOption(choice('--negatives-from <where>', 'Rec-*: all items, or the *.random lists', ['items', 'lists']))
    .addOption(choice('--window <which>', 'Rec-*: which interactions of a user', ['first', 'last']))
    .option('--train-windows <n>', 'Rec-*: instances per training user', integerFrom(1))
    .option(
      '--queries <n>',
      'Router-*: only that many queries; Passage-*, rank-r1: at most, on each side',
      integerFrom(1),
    )
    .option('--effect-weight <w>', 'Router-*: of the quality', numberWithin(0, Number.MAX_VALUE))
    .option('--cost-weight <w>', 'Router-*: of the cost', numberWithin(0, Number.MAX_VALUE))
    .addOption(choice('--missing <what>', 'Router-*: what a missing cell leaves out', ['candidate', 'query']))
    .addOption(choice('--all-tied <what>', 'Router-*: queries on which all models tie', ['drop', 'keep']))
    .addOption(choice('--candidate-text <what>', 'Router-*: what a candidate shows', ['described', 'name']))
    .option('--query-words <n>', 'Router-*: only the last so many words of a request', integerFrom(1))
    .option('--relevant-from <grade>', 'Passage-*, rank-r1: least grade of a relevant passage', integerFrom(1))
    .addOption(choice('--unjudged <what>', 'Passage-*, rank-r1: unjudged passages as negatives', ['allow', 'refuse']))
    .addOption(choice('--hard-negatives <how>', 'Passage-*, rank-r1 from BEIR', ['bm25', 'random']))
    .option('--depth <n>', 'Passage-*, rank-r1: how deep a ranking is used', integerFrom(1))
    .option('--lists <n>', 'Passage-*, rank-r1: lists of one query', integerFrom(1))
    .option('--max-characters <n>', 'Passage-*, rank-r1: all passages of a list together', integerFrom(1))
    .addOption(choice('--config <name>', 'ranking-bench: the configuration', ['direct', 'iterative']));
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
    .option('--tokenizer <dir>', 'folder with tokenizer.json: lengths on the card in its tokens');
  addEngineOptions(addTaskOptions(build)).action(async (task: string, options: BuildOptions) => {
    const { device: _, threads: __, json, tokenizer, ...settings } = options;
    const counter = tokenizer === undefined ? undefined : Tokenizer.fromFolder(tokenizer);
    const context = counter ? { countTokens: (text: string) => counter.encode(text).length } : {};
    const card = await buildTask(task, settings, context);
    await writeStdout(json ? `${JSON.stringify(card)}\n` : describeCard(card, settings.output));
  });
}

function describeCard(card: Readonly<Record<string, unknown>>, output: string): string {
  const lines = Object.entries(card).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  return `${lines.join('\n')}\nwritten to ${output}\n`;
}
