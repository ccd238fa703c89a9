/** The work of a ranking by elimination, by the rules of accounting.ts. */
import type { DTypeName, NativeModelConfig } from '../../native/index.js';
import {
  attentionFlops,
  bodyWeights,
  causalPairs,
  decodeWork,
  dtypeBytes,
  headWeights,
  kvBytesPerToken,
  sumOfWork,
  type Work,
} from './accounting.js';

export interface ExclusionShape {
  readonly queries: number;
  readonly candidates: number;
  /** Leading tokens that all queries have in common. */
  readonly shared: number;
  /** Tokens before the candidates, the shared ones included. */
  readonly prefix: number;
  readonly candidateTokens: number;
  readonly suffix: number;
  readonly answerTokens: number;
}

/** Candidates in the prompts of each step: all, ..., 2. */
const remaining = ({ candidates }: ExclusionShape): number[] =>
  Array.from({ length: Math.max(0, candidates - 1) }, (_, gone) => candidates - gone);

/** Prompt tokens that must be computed: beginnings once, what stands after the prefix anew in every step. */
export function exclusionComputedTokens(shape: ExclusionShape): number {
  const { queries, shared, prefix, candidateTokens, suffix } = shape;
  const after = remaining(shape).reduce((sum, left) => sum + left * candidateTokens + suffix, 0);
  return shared + queries * (prefix - shared + after);
}

/** All prompts of all steps, and all steps of decoding; the queries of a step go together, and read the weights once. */
export function exclusionPhases(
  config: NativeModelConfig,
  dtype: DTypeName,
  shape: ExclusionShape,
): { readonly prefill: Work; readonly decode: Work } {
  const { queries, shared, prefix, candidateTokens, suffix, answerTokens } = shape;
  const lengths = remaining(shape).map((left) => left * candidateTokens + suffix);
  const weights = bodyWeights(config) + headWeights(config);
  const tokens = exclusionComputedTokens(shape);
  const own = lengths.reduce((sum, length) => sum + causalPairs(prefix, length), causalPairs(shared, prefix - shared));
  const pairs = causalPairs(0, shared) + queries * own;
  const decodes = lengths.map((length) =>
    decodeWork(config, dtype, { rows: queries, context: prefix + length, shared, steps: answerTokens - 1 }),
  );
  return {
    prefill: {
      flops:
        2 * tokens * bodyWeights(config) +
        2 * queries * lengths.length * headWeights(config) +
        attentionFlops(config, pairs),
      bytes: lengths.length * weights * dtypeBytes(dtype) + tokens * kvBytesPerToken(config, dtype),
    },
    decode: sumOfWork(decodes),
  };
}
