export {
  cosineScorer,
  historyOf,
  originalOrderScorer,
  popularityScorer,
  rankByScores,
  type Scorer,
  type Sequences,
} from './baselines.js';
export { type Bm25ScorerOptions, bm25Scorer } from './bm25-scorer.js';
export { type BootstrapOptions, bootstrapDifference, bootstrapMean, type Interval } from './bootstrap.js';
export { type BprOptions, bprScorer } from './bpr.js';
export { chanceOf, chanceOfRightExclusion } from './chance.js';
export {
  type ChoiceOptions,
  type CoOccurrenceChoice,
  type CoOccurrenceOptions,
  chooseCoOccurrence,
  coOccurrenceScorer,
} from './co-occurrence.js';
export { type Comparison, compareRuns } from './compare-runs.js';
export {
  defaultMeasures,
  type EvaluationOptions,
  evaluate,
  evaluateRankings,
  evaluateScorer,
  gradesByRank,
  type MeasureResult,
  type ModelEvaluation,
  type StepAccuracy,
} from './evaluate.js';
export { formatTable, percent, type TableColumn } from './format-table.js';
export {
  averagePrecision,
  bpref,
  type Gain,
  interpolatedPrecision,
  type JudgedRanking,
  judgedRanking,
  judgedShare,
  ndcg,
  precision,
  recall,
  reciprocalRank,
  rPrecision,
  success,
} from './measures/index.js';
export { type MeasureName, measure } from './named-measure.js';
export { bestSingleModelScorer, cheapestModelScorer, largestModelScorer, nearestQueryScorer } from './routers.js';
export { type SasrecOptions, sasrecScorer } from './sasrec.js';
export {
  bootstrapTest,
  holm,
  pairedTTest,
  type ResampleOptions,
  randomisationTest,
} from './significance.js';
export {
  formatTrecEval,
  type Measure,
  type MeasuredColumn,
  type MeasuredRun,
  measureRun,
  type RunMeasureOptions,
  selectMeasures,
  type TrecEvalVersion,
} from './trec/index.js';
