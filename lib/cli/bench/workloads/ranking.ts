/** An elimination ranking as the engine sees it: many prompts with long common beginnings, and short answers. */
import type { Model } from '../../../native/index.js';
import { type ExclusionShape, exclusionPhases } from '../accounting-exclusion.js';
import { type BenchCase, type CaseResult, timed, tokenLists, type Workload } from '../case.js';
import { benchShapes } from '../shapes.js';

export interface RankingQuery {
  readonly prefix: readonly number[];
  readonly candidates: readonly (readonly number[])[];
  readonly suffix: readonly number[];
}

/** A prompt of about 700 tokens with all 20 candidates: instructions that all queries share, a history, candidates, the question. */
const SHARED_TOKENS = 64;
const PREFIX_TOKENS = 400;
const CANDIDATE_TOKENS = 14;
const SUFFIX_TOKENS = 20;
const CANDIDATES = 20;
const ANSWER_TOKENS = 32;
const MAX_PREFIX_BYTES = 2 ** 30;

export const exclusionShape = (
  queries: number,
  candidates = CANDIDATES,
  answerTokens = ANSWER_TOKENS,
): ExclusionShape => ({
  ...{ queries, candidates, answerTokens },
  ...{ shared: SHARED_TOKENS, prefix: PREFIX_TOKENS, candidateTokens: CANDIDATE_TOKENS, suffix: SUFFIX_TOKENS },
});

export function rankingQueries(shape: ExclusionShape, vocabulary: number): RankingQuery[] {
  const { queries, candidates, shared, prefix, candidateTokens, suffix } = shape;
  const lists = (count: number, length: number, first: number): number[][] =>
    tokenLists(count, length, vocabulary, first).map((tokens) => Array.from(tokens));
  const [instructions = [], question = []] = [lists(1, shared, 0)[0], lists(1, suffix, 1)[0]];
  const histories = lists(queries, prefix - shared, 2);
  const texts = lists(queries * candidates, candidateTokens, 2 + queries);
  return histories.map((history, query) => ({
    prefix: [...instructions, ...history],
    candidates: texts.slice(query * candidates, (query + 1) * candidates),
    suffix: question,
  }));
}

/**
 * While candidates remain: one prompt a query, answers of exactly `answerTokens`, and the first candidate goes, whatever the answer says, so
 * that every engine does the same work. It is the hardest case for keys that are kept: all after the prefix has moved.
 */
export async function runExclusion(
  model: Model,
  shape: ExclusionShape,
  queries: readonly RankingQuery[],
): Promise<CaseResult> {
  let promptTokens = 0;
  let computedTokens = 0;
  let answers = 0;
  let prefill = 0;
  let decode = 0;
  const { seconds } = await timed(async () => {
    for (let gone = 0; gone < shape.candidates - 1; gone++) {
      const { completions, statistics } = await model.generate({
        prompts: queries.map((q) => Int32Array.from([...q.prefix, ...q.candidates.slice(gone).flat(), ...q.suffix])),
        maxTokens: shape.answerTokens,
        ignoreStopTokens: true,
        seed: gone,
        maxPrefixBytes: MAX_PREFIX_BYTES,
      });
      promptTokens += statistics.promptTokens;
      computedTokens += statistics.prefilledTokens;
      prefill += statistics.prefillSeconds;
      decode += statistics.decodeSeconds;
      answers += completions.flat().filter(({ tokens }) => tokens.length === shape.answerTokens).length;
    }
  });
  return {
    seconds: [seconds],
    details: { promptTokens, computedTokens, answers },
    phaseSeconds: { prefill, decode, rest: seconds - prefill - decode },
  };
}

const givenTokens = ({ candidates, prefix, candidateTokens, suffix }: ExclusionShape): number => {
  let tokens = 0;
  for (let left = candidates; left > 1; left--) tokens += prefix + left * candidateTokens + suffix;
  return tokens;
};

/** Rankings by elimination; a peer may be given fewer of them, and its time then counts per query. */
export const exclusion: Workload = ({ shape: decoder, dtype, queries, peerQueries }) => {
  const config = benchShapes[decoder];
  const shape = exclusionShape(queries);
  const calls = queries * (shape.candidates - 1);
  const all = rankingQueries(shape, config.vocabulary);
  const only: BenchCase = {
    name: `exclusion of ${shape.candidates}, ${queries} queries`,
    phases: exclusionPhases(config, dtype, shape),
    tokens: calls * shape.answerTokens,
    async run({ loadModel }) {
      const model = await loadModel();
      const [warmup] = tokenLists(1, SHARED_TOKENS, config.vocabulary, 1_000_000) as [Int32Array];
      await model.generate({ prompts: [warmup], maxTokens: 2, ignoreStopTokens: true });
      return runExclusion(model, shape, all);
    },
    peer: {
      benchmark: 'exclusion',
      body: { queries: all.slice(0, peerQueries), answerTokens: shape.answerTokens },
      warmups: 0,
      scale: queries / peerQueries,
      expected: {
        promptTokens: peerQueries * givenTokens(shape),
        answers: peerQueries * (shape.candidates - 1),
      },
    },
  };
  return [only];
};
