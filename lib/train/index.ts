export { groupNormalised, meanOnly } from './advantage.js';
export { newestCheckpoint } from './checkpoint.js';
export { type ResolvedConfig, resolveConfig, type TrainConfig } from './config.js';
export { parseConfig, readConfig } from './config-file.js';
export type * from './events.js';
export { learningRate } from './schedule.js';
export { type TrainingRun, type TrainOptions, train } from './trainer.js';
