export {
  type Generate,
  type GenerateRequest,
  type MalformedPolicy,
  type RankAllOptions,
  type RankingResult,
  type RankingStep,
  rankAll,
} from './driver.js';
export { type ExclusionOptions, type ExclusionProtocol, type ExclusionState, exclusionProtocol } from './exclusion.js';
export { type ExclusionWeights, isRightExclusion } from './exclusion-reward.js';
export { writePhrase } from './label-wording.js';
export { type CompleteOptions, type CompleteRequest, type GenerativeModel, LanguageModel } from './language-model.js';
export type { CaseSizes, TrainingCase } from './training-cases.js';
