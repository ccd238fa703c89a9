export type { CommonWording } from './choose-wording.js';
export { type ParsedFormat, parseFormat } from './completion-format.js';
export { type DirectOptions, type DirectProtocol, type DirectState, directProtocol } from './direct.js';
export {
  type Generate,
  type GenerateRequest,
  type MalformedPolicy,
  type RankAllOptions,
  type RankingCall,
  type RankingResult,
  type RankingStep,
  type RankStreamOptions,
  rankAll,
  rankStream,
} from './driver.js';
export { type ExclusionOptions, type ExclusionProtocol, type ExclusionState, exclusionProtocol } from './exclusion.js';
export {
  type ExclusionRewardRules,
  type ExclusionWeights,
  isRightExclusion,
  potentialChange,
} from './exclusion-reward.js';
export { guarded } from './guarded.js';
export { writePhrase } from './label-wording.js';
export { type LabelStyle, labelAt, neutralise } from './labels.js';
export {
  type CompleteOptions,
  type CompleteRequest,
  type GenerativeModel,
  LanguageModel,
  type TokenUsage,
} from './language-model.js';
export type { ListWeights } from './list-reward.js';
export { type ListwiseOptions, type ListwiseProtocol, type ListwiseState, listwiseProtocol } from './listwise.js';
export type { OrderMeasure } from './order-measure.js';
export { type PointwiseOptions, type PointwiseProtocol, type PointwiseState, pointwiseProtocol } from './pointwise.js';
export { type PolicyStateRequest, reachPrompts } from './policy-states.js';
export {
  type AnyProtocol,
  makeProtocol,
  type ProtocolName,
  type ProtocolSettings,
  protocolNamed,
  protocolNames,
  protocolSchema,
} from './registry.js';
export { type SetwiseOptions, type SetwiseProtocol, type SetwiseState, setwiseProtocol } from './setwise.js';
export {
  ownerOf,
  type RetrieveOptions,
  type Thought,
  ThoughtStore,
  thoughtOf,
} from './thought-store.js';
export { type TemplateState, withThoughts, writeTemplates } from './thought-templates.js';
export type { CaseSizes, TrainingCase } from './training-cases.js';
