export { formatDecimal, formatTrecEval } from './format.js';
export { compareBytes, judgeQuery, orderByScore, type TrecEvalVersion } from './judge-run.js';
export { type MeasuredColumn, type MeasuredRun, measureRun, type RunMeasureOptions } from './measure-run.js';
export { type Measure, selectMeasures } from './select-measures.js';
