export {
  batchNormalised,
  type GroupAdvantages,
  generalisedAdvantage,
  groupMeanBatchNormalised,
  groupNormalised,
  leaveOneOut,
  meanOnly,
  type TokenAdvantages,
} from './advantage.js';
export { newestCheckpoint } from './checkpoint.js';
export { type ResolvedConfig, resolveConfig, type TrainConfig } from './config.js';
export { parseConfig, readConfig } from './config-file.js';
export type * from './events.js';
export { trainConfigJsonSchema } from './json-schema.js';
export { planRun, type RunPlan, type StageMemory, type StagePlan } from './plan.js';
export { withPreset } from './preset.js';
export { kPresets, type Preset, type PresetName, presetNames } from './presets.js';
export type { RewardEntry, RewardFunction, RewardOptions, RewardValue } from './reward-function.js';
export { learningRate } from './schedule.js';
export { type TrainingRun, type TrainOptions, train } from './trainer.js';
