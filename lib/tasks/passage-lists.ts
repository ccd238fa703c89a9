import type { JudgedPassage, PassagePool } from '../data/passage-pools.js';
import { RandomStream } from '../random.js';
import type { Candidate, RankingInstance } from '../types.js';
import { normalisedText } from './split.js';

/** How a pool becomes a list of one relevant passage among others. */
export interface ListRules {
  /** For `RankingInstance.task`. */
  readonly task: string;
  readonly seed: number;
  readonly fewestNegatives: number;
  readonly mostNegatives: number;
  /** The pool must be exactly the list, with one relevant passage: R1-Ranker's rule for MS MARCO. */
  readonly wholePool: boolean;
  /** The least grade of a relevant passage; below it a judged passage is a negative. */
  readonly relevantFrom: number;
  /** Whether passages that nobody judged may be negatives. */
  readonly unjudged: 'allow' | 'refuse';
  /** All passages of a list together; a longer list is dropped. */
  readonly maxCharacters: number;
  /** Lists of one query, each with negatives of its own draw. */
  readonly lists: number;
  /** The relevant passage: the first of the source (Rank-R1), or any. */
  readonly positive: 'first' | 'random';
  /** Ids `passage 0`, `passage 1`, ... by place, as R1-Ranker's prompts name them, or those of the documents. */
  readonly ids: 'numbered' | 'documents';
}

/** Why pools gave no list, and what was left out of them. */
export interface ListCounts {
  queries: number;
  withoutRelevant: number;
  withSeveralRelevant: number;
  ofAnotherSize: number;
  withTooFewNegatives: number;
  tooLong: number;
  testQueriesAlsoInTraining: number;
  testListsAlsoInTraining: number;
  passagesOfEqualTextLeftOut: number;
  emptyPassagesLeftOut: number;
}

export const noCounts = (): ListCounts => ({
  queries: 0,
  withoutRelevant: 0,
  withSeveralRelevant: 0,
  ofAnotherSize: 0,
  withTooFewNegatives: 0,
  tooLong: 0,
  testQueriesAlsoInTraining: 0,
  testListsAlsoInTraining: 0,
  passagesOfEqualTextLeftOut: 0,
  emptyPassagesLeftOut: 0,
});

const textOf = ({ title, text }: JudgedPassage): string => (title === '' ? text : `${title} ${text}`).trim();

/** Keys of texts by text: a passage of a collection is offered to many queries. */
const knownKeys = new Map<string, string>();
const mostKnownKeys = 20_000;

function keyOf(text: string): string {
  const known = knownKeys.get(text);
  if (known !== undefined) return known;
  const key = normalisedText(text);
  if (knownKeys.size >= mostKnownKeys) knownKeys.clear();
  knownKeys.set(text, key);
  return key;
}

/**
 * Passages with a text, each text once: of two equal ones the better grade stays, because a negative with the text of the
 * relevant passage is a right answer under a wrong label.
 */
function distinctPassages(pool: PassagePool, counts: ListCounts): JudgedPassage[] {
  const byText = new Map<string, JudgedPassage>();
  for (const passage of pool.passages) {
    const key = keyOf(textOf(passage));
    if (key === '') {
      counts.emptyPassagesLeftOut++;
      continue;
    }
    const known = byText.get(key);
    if (known) counts.passagesOfEqualTextLeftOut++;
    if (!known || (passage.grade ?? -1) > (known.grade ?? -1)) byText.set(key, passage);
  }
  return [...byText.values()];
}

function toInstance(
  pool: PassagePool,
  number: number,
  shown: readonly JudgedPassage[],
  positive: JudgedPassage,
  rules: ListRules,
): RankingInstance {
  const candidates = shown.map(
    (passage, index): Candidate => ({
      id: rules.ids === 'numbered' ? `passage ${index}` : passage.id,
      text: textOf(passage),
    }),
  );
  return {
    id: `${rules.task}/${pool.query.id}${rules.lists === 1 ? '' : `@${number}`}`,
    task: rules.task,
    context: pool.query.text,
    candidates,
    relevance: shown.map((passage) => (passage === positive ? 1 : 0)),
    meta: {
      query: pool.query.text,
      queryId: pool.query.id,
      documentIds: shown.map(({ id }) => id),
      grades: shown.map(({ grade }) => grade ?? null),
    },
  };
}

/** The lists of one pool; none when the rules do not fit it, which `counts` says. Draws depend on the seed and the query alone. */
export function makeLists(pool: PassagePool, rules: ListRules, counts: ListCounts): RankingInstance[] {
  counts.queries++;
  const size = pool.passages.length;
  if (rules.wholePool && (size < rules.fewestNegatives + 1 || size > rules.mostNegatives + 1)) {
    counts.ofAnotherSize++;
    return [];
  }
  const passages = distinctPassages(pool, counts);
  const isRelevant = ({ grade }: JudgedPassage): boolean => grade !== undefined && grade >= rules.relevantFrom;
  const relevant = passages.filter(isRelevant);
  if (relevant.length === 0) {
    counts.withoutRelevant++;
    return [];
  }
  if (rules.wholePool && relevant.length > 1) {
    counts.withSeveralRelevant++;
    return [];
  }
  const negatives = passages.filter(
    (passage) => !isRelevant(passage) && (rules.unjudged === 'allow' || passage.grade !== undefined),
  );
  if (negatives.length < rules.fewestNegatives) {
    counts.withTooFewNegatives++;
    return [];
  }
  const made: RankingInstance[] = [];
  for (let number = 0; number < rules.lists; number++) {
    const random = new RandomStream(rules.seed, 'passages', pool.query.id, number);
    const positive = rules.positive === 'first' ? (relevant[0] as JudgedPassage) : random.pick(relevant);
    const drawn = random.sample(negatives, Math.min(rules.mostNegatives, negatives.length));
    const shown = random.shuffled([positive, ...drawn]);
    const characters = shown.reduce((sum, passage) => sum + textOf(passage).length, 0);
    if (characters > rules.maxCharacters) counts.tooLong++;
    else made.push(toInstance(pool, number, shown, positive, rules));
  }
  return made;
}
