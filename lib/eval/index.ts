export {
  type CoOccurrenceOptions,
  coOccurrenceScorer,
  cosineScorer,
  historyOf,
  popularityScorer,
  rankByScores,
  type Scorer,
  type Sequences,
} from './baselines.js';
export { type BootstrapOptions, bootstrapDifference, bootstrapMean, type Interval } from './bootstrap.js';
export { type BprOptions, bprScorer } from './bpr.js';
export { chanceOf, chanceOfRightExclusion } from './chance.js';
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
export { dcgAt, type Gain, hitAt, type MeasureName, measure, ndcgAt, reciprocalRank } from './measures.js';
