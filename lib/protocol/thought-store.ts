/**
 * IRanker-COT: thoughts that led to good answers in training, kept with what they were about, and found again for similar instances.
 * The paper names the idea and no details; every detail here is a setting.
 */
import * as z from 'zod';
import { readJsonLines, writeJsonLines } from '../data/index.js';
import { WinnowError } from '../errors.js';
import { Bm25Index } from '../text/bm25.js';
import { englishTerms } from '../text/english-analysis.js';
import type { Answer, Prompt, RankingInstance, Reward } from '../types.js';

const kThought = z.strictObject({
  instanceId: z.string(),
  task: z.string(),
  /** User or query of the instance: what may not be retrieved for itself. */
  owner: z.string(),
  context: z.string(),
  /** Texts of the candidates shown, in the order shown. */
  candidates: z.array(z.string()).readonly(),
  /** Texts of the candidates that the answer named. */
  answer: z.array(z.string()).readonly(),
  thought: z.string().min(1),
  reward: z.number(),
});

export type Thought = Readonly<z.output<typeof kThought>>;

export interface RetrieveOptions {
  /** Thoughts for one instance, at most; default 3. */
  readonly topK?: number;
  /** Similarity that a thought must exceed; default 0. BM25 has no upper end, the cosine of embeddings ends at 1. */
  readonly threshold?: number;
  /** Whether only thoughts on the same task count; default true. */
  readonly sameTask?: boolean;
  /** Thoughts from one instance, at most, those of the highest reward first; default 1. */
  readonly perInstance?: number;
  /** One vector a text. With it, similarity is their cosine; without it, BM25 over the contexts. */
  readonly embed?: (texts: readonly string[]) => Promise<readonly Float32Array[]>;
}

const sameText = (text: string): string => text.normalize('NFKC').toLowerCase().replace(/\s+/gu, ' ').trim();

/** The user or the query behind an instance; without a name for it, its context is one. */
export function ownerOf({ meta, context }: RankingInstance): string {
  for (const key of ['userId', 'user_id', 'queryId', 'query_id', 'qid']) {
    const value = meta?.[key];
    if (typeof value === 'string' || typeof value === 'number') return `${key.slice(0, 1)}:${value}`;
  }
  if (typeof meta?.query === 'string') return `text:${sameText(meta.query)}`;
  return `text:${sameText(context)}`;
}

/** What can be kept of one judged completion; undefined without a well-formed answer or without a thought. */
export function thoughtOf(
  instance: RankingInstance,
  prompt: Prompt,
  answer: Answer,
  reward: Reward,
): Thought | undefined {
  if (!answer.ok || answer.thought.trim() === '') return undefined;
  const textOf = new Map(instance.candidates.map(({ id, text }) => [id, text]));
  const texts = (ids: Iterable<string>): string[] => [...ids].map((id) => textOf.get(id) ?? '');
  return {
    instanceId: instance.id,
    task: instance.task,
    owner: ownerOf(instance),
    context: instance.context,
    candidates: texts(prompt.labels.values()),
    answer: texts(answer.ids),
    thought: answer.thought.trim(),
    reward: reward.value,
  };
}

type Similarities = (instance: RankingInstance) => ArrayLike<number>;

export class ThoughtStore {
  readonly #thoughts: Thought[] = [];
  readonly #minimumReward: number;

  /** @param options.minimumReward thoughts must have earned more than this; default 0 */
  constructor(thoughts: Iterable<Thought> = [], options: { readonly minimumReward?: number } = {}) {
    this.#minimumReward = options.minimumReward ?? 0;
    for (const thought of thoughts) this.add(thought);
  }

  /** Reads JSON lines. @throws WinnowError ERR_DATA_JSONL with file, line and field */
  static async load(path: string, options: { readonly minimumReward?: number } = {}): Promise<ThoughtStore> {
    const store = new ThoughtStore([], options);
    for await (const { number, value } of readJsonLines(path)) {
      const parsed = kThought.safeParse(value);
      if (!parsed.success) {
        const issue = parsed.error.issues[0];
        throw new WinnowError('ERR_DATA_JSONL', `${path}:${number} is not a thought`, {
          expected: Object.keys(kThought.shape).join(', '),
          received: `${issue?.path.join('.') || 'value'}: ${issue?.message}`,
        });
      }
      store.add(parsed.data);
    }
    return store;
  }

  get thoughts(): readonly Thought[] {
    return this.#thoughts;
  }

  /** Whether it was kept. */
  add(thought: Thought): boolean {
    const kept = thought.reward > this.#minimumReward;
    if (kept) this.#thoughts.push(thought);
    return kept;
  }

  save(path: string): Promise<void> {
    return writeJsonLines(path, this.#thoughts);
  }

  /**
   * The thoughts for each of these instances, most similar first. Never one that came from the instance itself, from its user or
   * query, or from an instance with the same context.
   */
  async retrieve(
    instances: readonly RankingInstance[],
    options: RetrieveOptions = {},
  ): Promise<ReadonlyMap<string, readonly Thought[]>> {
    const { embed } = options;
    const similarities = embed === undefined ? this.#byTerms() : await this.#byEmbeddings(instances, embed);
    return new Map(instances.map((instance) => [instance.id, this.#best(instance, similarities(instance), options)]));
  }

  #best(instance: RankingInstance, similarity: ArrayLike<number>, options: RetrieveOptions): Thought[] {
    const { topK = 3, threshold = 0, sameTask = true, perInstance = 1 } = options;
    const owner = ownerOf(instance);
    const context = sameText(instance.context);
    const found = this.#thoughts
      .map((thought, index) => ({ thought, similarity: similarity[index] as number }))
      .filter(
        (hit) =>
          hit.similarity > threshold &&
          (!sameTask || hit.thought.task === instance.task) &&
          hit.thought.instanceId !== instance.id &&
          hit.thought.owner !== owner &&
          sameText(hit.thought.context) !== context,
      )
      .sort((a, b) => b.similarity - a.similarity || b.thought.reward - a.thought.reward);
    const taken = new Map<string, number>();
    return found
      .filter(({ thought: { instanceId } }) => {
        const count = (taken.get(instanceId) ?? 0) + 1;
        taken.set(instanceId, count);
        return count <= perInstance;
      })
      .slice(0, topK)
      .map(({ thought }) => thought);
  }

  #byTerms(): Similarities {
    const index = new Bm25Index(this.#thoughts.map(({ context }) => englishTerms(context)));
    return ({ context }) => index.scores(englishTerms(context));
  }

  async #byEmbeddings(
    instances: readonly RankingInstance[],
    embed: NonNullable<RetrieveOptions['embed']>,
  ): Promise<Similarities> {
    const texts = [...this.#thoughts.map(({ context }) => context), ...instances.map(({ context }) => context)];
    const vectors = texts.length === 0 ? [] : await embed(texts);
    const width = vectors[0]?.length ?? 0;
    if (vectors.length !== texts.length || vectors.some(({ length }) => length !== width)) {
      throw new WinnowError('ERR_ARGUMENT', 'the embeddings of thoughts cannot be used', {
        expected: `${texts.length} vectors of one length`,
        received: `${vectors.length} vectors of lengths ${[...new Set(vectors.map(({ length }) => length))].join(', ')}`,
      });
    }
    const stored = vectors.slice(0, this.#thoughts.length);
    const asked = new Map(instances.map(({ id }, index) => [id, vectors[stored.length + index] as Float32Array]));
    return ({ id }) => stored.map((vector) => cosine(vector, asked.get(id) as Float32Array));
  }
}

/** 0 where a vector is 0. */
function cosine(a: Float32Array, b: Float32Array): number {
  let product = 0;
  let squareA = 0;
  let squareB = 0;
  for (let i = 0; i < a.length; i++) {
    product += (a[i] as number) * (b[i] as number);
    squareA += (a[i] as number) ** 2;
    squareB += (b[i] as number) ** 2;
  }
  return squareA === 0 || squareB === 0 ? 0 : product / Math.sqrt(squareA * squareB);
}
