/** The options of commands that ask a ranker: how completions are drawn, and what a malformed one leads to. */
import { type Command, Option } from 'commander';
import type { MalformedPolicy } from '../protocol/index.js';
import { integerFrom, numberWithin } from './options.js';

export interface RankingOptions {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly seed: number;
  readonly malformed: MalformedPolicy['policy'];
  readonly retries: number;
}

const MAX_TEMPERATURE = 100;

export function addRankingOptions(command: Command): Command {
  return command
    .option('--max-tokens <n>', 'most new tokens of a completion', integerFrom(1), 512)
    .option('--temperature <t>', '0 = greedy', numberWithin(0, MAX_TEMPERATURE), 0)
    .option('--seed <s>', 'of all random numbers', integerFrom(0), 0)
    .addOption(
      new Option('--malformed <policy>', 'after a malformed completion')
        .choices(['keep_order', 'retry', 'fail'])
        .default('keep_order'),
    )
    .option('--retries <n>', 'repetitions of the policy retry', integerFrom(0), 1);
}
