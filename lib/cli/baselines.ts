/** The baselines that stand beside a model: exact chance, and scorers learned from the training users where they are known. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readJsonLines } from '../data/jsonl.js';
import { WinnowError } from '../errors.js';
import {
  bprScorer,
  coOccurrenceScorer,
  cosineScorer,
  evaluateScorer,
  type MeasureResult,
  popularityScorer,
  type Sequences,
} from '../eval/index.js';
import type { RankingInstance } from '../types.js';

/** The item ids of each training user, from a file of lines {"userId", "itemIds"} as `data build` writes it. */
export async function readTrainSequences(path: string): Promise<Sequences> {
  const sequences: string[][] = [];
  for await (const { number, value } of readJsonLines(path)) {
    const itemIds = (value as { itemIds?: unknown } | null)?.itemIds;
    if (!Array.isArray(itemIds) || !itemIds.every((id) => typeof id === 'string'))
      throw new WinnowError('ERR_DATA_JSONL', `${path}:${number} is no sequence`, {
        expected: '{"userId": string, "itemIds": [string, ...]}',
        received: JSON.stringify(value).slice(0, 60),
      });
    sequences.push(itemIds as string[]);
  }
  return sequences;
}

/** Where `data build` puts the sequences of a data file; undefined when there are none. */
export function sequencesBeside(dataPath: string): string | undefined {
  const path = join(dirname(dataPath), 'train-sequences.jsonl');
  return existsSync(path) ? path : undefined;
}

/** Each baseline's measures on the same instances; names are the rows of the table. */
export function evaluateBaselines(
  instances: readonly RankingInstance[],
  sequences: Sequences,
  seed: number,
): Readonly<Record<string, readonly MeasureResult[]>> {
  const bootstrap = { seed };
  return {
    popularity: evaluateScorer(popularityScorer(sequences), instances, { bootstrap }),
    'item cosine': evaluateScorer(cosineScorer(sequences), instances, { bootstrap }),
    'co-occurrence': evaluateScorer(coOccurrenceScorer(sequences), instances, { bootstrap }),
    BPR: evaluateScorer(bprScorer(sequences, { seed }), instances, { bootstrap }),
  };
}
