export { averagePrecision } from './average-precision.js';
export { bpref } from './bpref.js';
export { interpolatedPrecision, type RecallRounding } from './interpolated-precision.js';
export { type JudgedRanking, judgedRanking, relevantWithin } from './judged-ranking.js';
export { judgedShare } from './judged-share.js';
export { dcgAt, discount, type Gain, gainOf, ndcg } from './ndcg.js';
export { precision, recall, rPrecision, success } from './precision.js';
export { reciprocalRank } from './reciprocal-rank.js';
export {
  setAveragePrecision,
  setF,
  setPrecision,
  setRecall,
  setRelativePrecision,
  utility,
} from './retrieved-set.js';
