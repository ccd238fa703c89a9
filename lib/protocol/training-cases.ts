import { WinnowError } from '../errors.js';
import { RandomStream } from '../random.js';
import type { Prompt, RankingInstance } from '../types.js';

/**
 * Which subset sizes an instance is expanded into: one case per size from 2 to all candidates ('all', as R1-Ranker does), one
 * per listed size, or `count` sizes drawn uniformly from a range.
 */
export type CaseSizes =
  | 'all'
  | readonly number[]
  | { readonly minimum: number; readonly maximum: number; readonly count: number };

/** One independent training prompt: a random subset of the candidates that holds a relevant and a less relevant one. */
export interface TrainingCase {
  /** Unique within an expansion: the instance's id and the number of the case. */
  readonly id: string;
  readonly instance: RankingInstance;
  readonly candidateIds: readonly string[];
  readonly prompt: Prompt;
}

function settleSizes(sizes: CaseSizes, total: number, random: RandomStream): number[] {
  if (sizes === 'all') return Array.from({ length: total - 1 }, (_, index) => index + 2);
  const reject = (received: unknown): never => {
    throw new WinnowError('ERR_PROTOCOL_SIZES', 'the case sizes cannot be used', {
      expected: 'integers from 2 on (sizes beyond the candidates of an instance count as all of them)',
      received: JSON.stringify(received),
    });
  };
  const valid = (size: number): boolean => Number.isInteger(size) && size >= 2;
  if ('count' in sizes) {
    const { minimum, maximum, count } = sizes;
    if (!valid(minimum) || !valid(maximum) || maximum < minimum || !Number.isInteger(count) || count < 1) reject(sizes);
    const top = Math.min(maximum, total);
    const bottom = Math.min(minimum, top);
    return Array.from({ length: count }, () => bottom + random.integer(top - bottom + 1));
  }
  if (sizes.length === 0 || !sizes.every(valid)) reject(sizes);
  return sizes.map((size) => Math.min(size, total));
}

/** A relevant candidate, one that is less relevant, and others at random; the order is the prompt's business. */
function drawSubset(instance: RankingInstance, size: number, random: RandomStream): string[] {
  const graded = instance.candidates.map(({ id }, index) => ({ id, grade: instance.relevance[index] ?? 0 }));
  const lowest = Math.min(...graded.map(({ grade }) => grade));
  const targets = graded.filter(({ grade }) => grade > 0 && grade > lowest);
  if (targets.length === 0) {
    throw new WinnowError('ERR_PROTOCOL_CASE', `instance ${instance.id} cannot train an exclusion`, {
      expected: 'a relevant candidate and a less relevant one',
      received: `relevance ${instance.relevance.join(' ')}`,
    });
  }
  const target = random.pick(targets);
  const negative = random.pick(graded.filter(({ grade }) => grade < target.grade));
  const rest = graded.filter(({ id }) => id !== target.id && id !== negative.id).map(({ id }) => id);
  return random.shuffled([target.id, negative.id, ...random.sample(rest, size - 2)]);
}

/**
 * The case expansion. Depends on (seed, instance id, number of the case) alone, so it is the same whatever other instances are
 * expanded, in whatever order.
 *
 * @param promptFor builds the prompt of a subset; `key` separates the prompts of one instance
 */
export function expandTrainingCases(
  instance: RankingInstance,
  options: { readonly sizes: CaseSizes; readonly seed: number },
  promptFor: (candidateIds: readonly string[], key: string) => Prompt,
): TrainingCase[] {
  const sizeDraws = new RandomStream(options.seed, 'training-sizes', instance.id);
  return settleSizes(options.sizes, instance.candidates.length, sizeDraws).map((size, number) => {
    const random = new RandomStream(options.seed, 'training-case', instance.id, number);
    const candidateIds = drawSubset(instance, size, random);
    const key = `case ${options.seed} ${number}`;
    return { id: `${instance.id}#${number}`, instance, candidateIds, prompt: promptFor(candidateIds, key) };
  });
}
