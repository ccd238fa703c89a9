import { z } from 'zod';
import { WinnowError } from '../errors.js';
import type { RankingInstance } from '../types.js';
import { readJsonLines, writeJsonLines } from './jsonl.js';

const instanceSchema = z.strictObject({
  id: z.string().min(1),
  task: z.string().min(1),
  context: z.string(),
  candidates: z.array(z.strictObject({ id: z.string().min(1), text: z.string() })),
  relevance: z.array(z.number().nonnegative()),
  meta: z.record(z.string(), z.unknown()).optional(),
});

/**
 * Checks what came from outside: the fields, distinct candidate ids, one relevance for each candidate, at least two candidates
 * and at least one relevant.
 *
 * @param where for the message, e.g. "train.jsonl:7"
 * @throws WinnowError ERR_DATA_INSTANCE
 */
export function validateInstance(value: unknown, where: string): RankingInstance {
  const parsed = instanceSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new WinnowError('ERR_DATA_INSTANCE', `${where} is not a ranking instance`, {
      expected: '{id, task, context, candidates: [{id, text}], relevance: [number >= 0]}',
      received: `${issue?.path.join('.') || 'value'}: ${issue?.message}`,
    });
  }
  const { candidates, relevance, id } = parsed.data;
  const fail = (expected: string, received: string): never => {
    throw new WinnowError('ERR_DATA_INSTANCE', `${where} (id ${JSON.stringify(id)}) cannot be ranked`, {
      expected,
      received,
    });
  };
  if (candidates.length < 2) fail('at least 2 candidates', String(candidates.length));
  if (relevance.length !== candidates.length) {
    fail(`one relevance for each of ${candidates.length} candidates`, String(relevance.length));
  }
  const seen = new Set<string>();
  for (const candidate of candidates) {
    if (seen.has(candidate.id)) fail('distinct candidate ids', `${JSON.stringify(candidate.id)} twice`);
    seen.add(candidate.id);
  }
  if (!relevance.some((grade) => grade > 0)) fail('at least one relevance above 0', 'none');
  return parsed.data as RankingInstance;
}

/** Streams the instances of a JSON Lines file, each validated; an id that comes twice is an error. */
export async function* readInstances(path: string): AsyncGenerator<RankingInstance> {
  const lineOfId = new Map<string, number>();
  for await (const { number, value } of readJsonLines(path)) {
    const instance = validateInstance(value, `${path}:${number}`);
    const earlier = lineOfId.get(instance.id);
    if (earlier !== undefined) {
      throw new WinnowError('ERR_DATA_INSTANCE', `${path}:${number} repeats an instance id`, {
        expected: 'distinct ids',
        received: `${JSON.stringify(instance.id)}, also on line ${earlier}`,
      });
    }
    lineOfId.set(instance.id, number);
    yield instance;
  }
}

/** All instances of a file; an empty file is an error. */
export async function loadInstances(path: string): Promise<RankingInstance[]> {
  const instances: RankingInstance[] = [];
  for await (const instance of readInstances(path)) instances.push(instance);
  if (instances.length === 0) {
    throw new WinnowError('ERR_DATA_INSTANCE', `${path} holds no instances`, { expected: 'at least one line' });
  }
  return instances;
}

/** Writes instances as JSON Lines, atomically; each is validated first, and ids must be distinct. */
export async function writeInstances(path: string, instances: Iterable<RankingInstance>): Promise<void> {
  function* checked(): Generator<RankingInstance> {
    const ids = new Set<string>();
    for (const instance of instances) {
      const valid = validateInstance(instance, `instance for ${path}`);
      if (ids.has(valid.id)) {
        throw new WinnowError('ERR_DATA_INSTANCE', `${path} would repeat an instance id`, {
          expected: 'distinct ids',
          received: JSON.stringify(valid.id),
        });
      }
      ids.add(valid.id);
      yield valid;
    }
  }
  await writeJsonLines(path, checked());
}
