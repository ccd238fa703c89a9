/** The measures by the names of trec_eval, in the order in which it prints them; ours follow. */
import {
  averagePrecision,
  bpref,
  interpolatedPrecision,
  type JudgedRanking,
  judgedShare,
  ndcg,
  precision,
  type RecallRounding,
  recall,
  reciprocalRank,
  rPrecision,
  setAveragePrecision,
  setF,
  setPrecision,
  setRecall,
  setRelativePrecision,
  success,
  utility,
} from '../measures/index.js';

/** How the values of queries become one. */
export type Summary = 'mean' | 'sum' | 'geometric_mean' | 'query_count' | 'run_tag';

export interface MeasureSettings {
  readonly recallRounding: RecallRounding;
}

export interface MeasureFamily {
  readonly name: string;
  /** Default 'mean'. */
  readonly summary?: Summary;
  /** Parameters it is computed at, and what they are; a family without them is one measure. */
  readonly parameter?: {
    readonly kind: 'rank' | 'recall' | 'weight';
    /** Without defaults the bare name is the measure without a parameter. */
    readonly defaults?: readonly number[];
  };
  readonly value: (ranking: JudgedRanking, parameter: number, settings: MeasureSettings) => number;
}

const ranks = { kind: 'rank', defaults: [5, 10, 15, 20, 30, 100, 200, 500, 1000] } as const;
const recalls = { kind: 'recall', defaults: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1] } as const;

export const measureFamilies: readonly MeasureFamily[] = [
  { name: 'runid', summary: 'run_tag', value: () => 0 },
  { name: 'num_q', summary: 'query_count', value: () => 1 },
  { name: 'num_ret', summary: 'sum', value: ({ grades }) => grades.length },
  { name: 'num_rel', summary: 'sum', value: ({ relevant }) => relevant },
  { name: 'num_rel_ret', summary: 'sum', value: ({ relevantRetrieved }) => relevantRetrieved },
  { name: 'map', value: (ranking) => averagePrecision(ranking) },
  { name: 'gm_map', summary: 'geometric_mean', value: (ranking) => averagePrecision(ranking) },
  { name: 'Rprec', value: rPrecision },
  { name: 'bpref', value: bpref },
  { name: 'recip_rank', value: (ranking) => reciprocalRank(ranking) },
  {
    name: 'iprec_at_recall',
    parameter: recalls,
    value: (ranking, share, { recallRounding }) => interpolatedPrecision(ranking, share, recallRounding),
  },
  { name: 'P', parameter: ranks, value: precision },
  { name: 'recall', parameter: ranks, value: recall },
  { name: 'utility', value: utility },
  { name: 'ndcg', value: (ranking) => ndcg(ranking) },
  { name: 'ndcg_cut', parameter: ranks, value: (ranking, depth) => ndcg(ranking, depth) },
  { name: 'map_cut', parameter: ranks, value: averagePrecision },
  { name: 'success', parameter: { kind: 'rank', defaults: [1, 5, 10] }, value: success },
  { name: 'set_P', value: setPrecision },
  { name: 'set_relative_P', value: setRelativePrecision },
  { name: 'set_recall', value: setRecall },
  { name: 'set_map', value: setAveragePrecision },
  { name: 'set_F', parameter: { kind: 'weight' }, value: (ranking, weight) => setF(ranking, weight) },
  { name: 'ndcg_exp', value: (ranking) => ndcg(ranking, Number.POSITIVE_INFINITY, 'exponential') },
  {
    name: 'ndcg_exp_cut',
    parameter: ranks,
    value: (ranking, depth) => ndcg(ranking, depth, 'exponential'),
  },
  { name: 'recip_rank_cut', parameter: { kind: 'rank', defaults: [10] }, value: reciprocalRank },
  { name: 'judged', parameter: { kind: 'rank', defaults: [10] }, value: judgedShare },
];

/** Names for several families. */
export const measureNicknames: ReadonlyMap<string, readonly string[]> = new Map([
  [
    'official',
    'runid num_q num_ret num_rel num_rel_ret map gm_map Rprec bpref recip_rank iprec_at_recall P'.split(' '),
  ],
  ['set', 'runid num_q num_ret num_rel num_rel_ret utility set_P set_recall set_relative_P set_map set_F'.split(' ')],
]);

/** Names of papers and of ir_measures, `NAME@k`, for ours. */
export const measureAliases: ReadonlyMap<string, string> = new Map([
  ['nDCG', 'ndcg_cut'],
  ['nDCG-exp', 'ndcg_exp_cut'],
  ['MRR', 'recip_rank_cut'],
  ['RR', 'recip_rank_cut'],
  ['AP', 'map_cut'],
  ['MAP', 'map_cut'],
  ['R', 'recall'],
  ['Recall', 'recall'],
  ['P', 'P'],
  ['Hit', 'success'],
  ['Success', 'success'],
  ['Judged', 'judged'],
]);
