/** The engine: sessions, models, and model folders. The only importer of the native addon. */
export {
  type AdapterConfig,
  type AdapterFolder,
  type AdapterSource,
  expandTargets,
  kAdapterConfigFile,
  kAdapterWeightsFile,
  kLinearModules,
  readAdapterFolder,
  writeAdapterConfig,
} from './adapter.js';
export type {
  BackendReport,
  BuildInfo,
  DeviceName,
  DTypeName,
  ModelSource,
  NativeGenerateResult,
  NativeMemoryPlan,
  NativeModelConfig,
  NativeUpdateResult as UpdateResult,
  ParameterGroup,
  Recompute,
  StopReason,
  TrainingForms,
} from './addon-types.js';
export { addonFileBytes, loadAddon } from './binding.js';
export type { CallOptions } from './calls.js';
export type { Model, TensorPart } from './model.js';
export {
  type Architecture,
  formatModelConfig,
  type ModelConfigExtras,
  parseModelConfig,
  type RawConfig,
} from './model-config.js';
export { type ModelFolder, readModelFolder, writeModelConfig } from './pretrained.js';
export type {
  EmbedRequest,
  GeneratedCompletion,
  GenerateRequest,
  GenerateResult,
  LossRequest,
  LossResult,
  ScoreRequest,
  UpdateRequest,
  ValuesRequest,
} from './requests.js';
export {
  type BenchmarkRequest,
  type BenchmarkResult,
  backends,
  buildInfo,
  type CreateModelRequest,
  type DeviceOption,
  openSession,
  type PlanTrainingRequest,
  planTraining,
  type Session,
  type SessionOptions,
  totalBytes,
} from './session.js';
