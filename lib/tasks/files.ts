import { join } from 'node:path';
import { writeFileAtomic } from '../data/atomic-file.js';
import { writeInstances } from '../data/instances.js';
import { writeJsonLines } from '../data/jsonl.js';
import type { RankingInstance } from '../types.js';

/** A training user's items, oldest first. */
export interface UserSequence {
  readonly userId: string;
  readonly itemIds: readonly string[];
}

/** What a task builder makes. */
export interface BuiltTask {
  readonly train: readonly RankingInstance[];
  readonly test: readonly RankingInstance[];
  /** What baselines may learn from, where users take items: all of the training users' items. */
  readonly trainSequences?: readonly UserSequence[];
  readonly card: Readonly<Record<string, unknown>>;
}

/**
 * Writes train.jsonl, test.jsonl, train-sequences.jsonl where there are users, and, last, card.json; each appears whole or not at
 * all. An empty side gives no file.
 */
export async function writeBuiltTask(output: string, task: BuiltTask): Promise<void> {
  if (task.train.length > 0) await writeInstances(join(output, 'train.jsonl'), task.train);
  if (task.test.length > 0) await writeInstances(join(output, 'test.jsonl'), task.test);
  if (task.trainSequences) await writeJsonLines(join(output, 'train-sequences.jsonl'), task.trainSequences);
  await writeFileAtomic(join(output, 'card.json'), `${JSON.stringify(task.card, undefined, 2)}\n`);
}
