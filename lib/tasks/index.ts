export type { TokenCounter } from './card.js';
export type { BuiltTask } from './files.js';
export {
  makePassageTask,
  type PassageOptions,
  type PassageTaskName,
  passageTaskNames,
} from './passage.js';
export { openPassageSource, type PassageSource } from './passage-sources.js';
export { type RankingBenchOptions, readRankingBench } from './ranking-bench.js';
export { makeRecTask, type RecOptions, type RecTask, type RecTaskName, recTaskNames } from './rec.js';
export { type BuildContext, type BuildTaskOptions, buildTask, taskNames } from './registry.js';
export { makeRouterTask, type RouterOptions } from './router.js';
export { type ObjectiveWeights, type RouterTaskName, routerTaskNames } from './router-scores.js';
export {
  type Demonstration,
  demonstrate,
  makeSyntheticTask,
  type SyntheticOptions,
  type SyntheticTask,
} from './synthetic.js';
