/** The hand-written types of everything the native addon exports; a test compares them with the live exports. */

export type DTypeName = 'f32' | 'bf16';
export type DeviceName = 'cpu' | 'reference' | 'cuda';

/** Opaque, type-tagged handles; they can only be made by the addon. */
export interface SessionHandle {
  readonly __session: never;
}
export interface ModelHandle {
  readonly __model: never;
}

/** Plain numbers of a decoder; mirrors native/model/config.h. */
export interface NativeModelConfig {
  vocabulary: number;
  width: number;
  feedForward: number;
  layers: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  maxPositions: number;
  normEpsilon: number;
  qkvBias: boolean;
  outputBias: boolean;
  qkNorm: boolean;
  tiedHead: boolean;
  /** A critic's head of one number a token, beside the head of logits; default: none. */
  valueHead?: boolean;
  ropeTheta: number;
  ropeScaling: 'none' | 'linear' | 'llama3';
  ropeFactor: number;
  ropeLowFrequency: number;
  ropeHighFrequency: number;
  ropeOriginalPositions: number;
  /** What keys and values are rounded to and kept in, in every pass; default: the model's dtype. */
  keyValueDtype?: DTypeName;
}

/** A low-rank adapter; mirrors native/model/adapter.h. */
export interface NativeAdapterConfig {
  rank: number;
  /** What is added is alpha / rank times B A x, with `rsLora` alpha / sqrt(rank) times. */
  alpha: number;
  /** Probability, of entries of x in training passes. */
  dropout: number;
  rsLora: boolean;
  /** Module names, or ends of their paths. */
  targets: string[];
}

/** Sequences as one flat array: sequence s is tokens[offsets[s] .. offsets[s + 1]). */
export interface FlatSequences {
  tokens: Int32Array;
  /** Length sequences + 1, ascending, first 0. */
  offsets: Float64Array;
}

/** Every long call takes these last. `id` names the call for `cancelCall`. */
export interface CallControl {
  id: number;
  onProgress?: (done: number, total: number) => void;
}

export interface NativeGenerateRequest extends FlatSequences {
  /** Identity of each prompt for the random numbers; integers below 2^53. */
  promptKeys: Float64Array;
  maxTokens: number;
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  /** Integer below 2^53. */
  seed: number;
  completionsPerPrompt: number;
  ignoreStopTokens: boolean;
  stopTokens: Int32Array;
  stopStrings: string[];
  /** UTF-8 bytes of token t: tokenBytes[tokenByteOffsets[t] .. tokenByteOffsets[t + 1]); empty without stop strings. */
  tokenBytes: Uint8Array;
  tokenByteOffsets: Float64Array;
  maxBatch: number;
  maxKvBytes: number;
  maxPrefixBytes: number;
  maxActivationBytes: number;
  prefillTokens: number;
}

export type StopReason = 'stop_token' | 'stop_string' | 'length' | 'context';

/** Completion c (= prompt * n + sample) is tokens[offsets[c] .. offsets[c + 1]); logprobs are aligned with tokens. */
export interface NativeGenerateResult extends FlatSequences {
  logprobs: Float32Array;
  stop: StopReason[];
  statistics: {
    promptTokens: number;
    /** Tokens computed: common beginnings once, and none that an earlier call had left. */
    prefilledTokens: number;
    /** Tokens whose keys an earlier call had left; common beginnings once. */
    knownPromptTokens: number;
    decodedTokens: number;
    prefillSeconds: number;
    decodeSeconds: number;
  };
}

export interface NativeScoreRequest extends FlatSequences {
  temperature: number;
  maxBatchTokens: number;
  /** False: of the weights without the adapter. */
  adapter: boolean;
}

export interface NativeEmbedRequest extends FlatSequences {
  maxBatchTokens: number;
}

export interface NativeValuesRequest extends FlatSequences {
  maxBatchTokens: number;
}

export interface NativeLossRequest extends FlatSequences {
  kind: 'supervised' | 'policy_gradient' | 'value';
  /** Aligned with tokens; 0 = no loss on this token. Absent for `value`. */
  weight?: Float32Array;
  advantage?: Float32Array;
  oldLogprob?: Float32Array;
  referenceLogprob?: Float32Array;
  valueGradient?: Float32Array;
  clipLow: number;
  clipHigh: number;
  klCoefficient: number;
  entropyCoefficient: number;
  temperature: number;
  maxBatchTokens: number;
  headChunkRows: number;
  recompute: Recompute;
  /** Of an adapter with dropout; an integer below 2^53. */
  dropoutSeed: number;
}

/** What is kept of a forward pass for its gradient: all of it, or the inputs of the layers. */
export type Recompute = 'none' | 'layer';

export interface NativeLossResult {
  /** Sums over loss entries, each times its weight. */
  loss: number;
  policyLoss: number;
  kl: number;
  entropy: number;
  logRatio: number;
  absoluteLogRatio: number;
  maxAbsoluteLogRatio: number;
  clipped: number;
  entries: number;
  /** Per token, NaN where weight is 0. */
  logprobs: Float32Array;
  forestTokens: number;
  sequenceTokens: number;
  /** Of the forest's tokens, those whose forward pass `generate` had kept. */
  cachedTokens: number;
  forwardSeconds: number;
  headSeconds: number;
  backwardSeconds: number;
}

export interface NativeUpdateRequest {
  learningRate: number;
  beta1: number;
  beta2: number;
  epsilon: number;
  weightDecay: number;
  /** Groups whose parameters decay. */
  decayGroups: ParameterGroup[];
  /** 0 = no clipping. */
  maxGradientNorm: number;
  /** 1-based. */
  step: number;
}

/** `embedding` (a tied head included), the linear layers of `attention` and `mlp`, `head`, and all `norm` weights and `bias`es. */
export type ParameterGroup = 'embedding' | 'attention' | 'mlp' | 'head' | 'norm' | 'bias';

export interface NativeUpdateResult {
  /** Before clipping. */
  gradientNorm: number;
  /** The same of each group that the model trains. */
  gradientNorms: Partial<Record<ParameterGroup, number>>;
  skipped: boolean;
}

/**
 * How what trains is kept. `8bit`: the moments of matrices, with a scale for every block of 256. `split`: masters of linear layers as
 * the packed weight and what rounding cut off, to the same bits.
 */
export interface TrainingForms {
  moments: 'f32' | '8bit';
  masters: 'f32' | 'split';
}

export interface NativeMemoryPlan {
  weightsBytes: number;
  optimizerBytes: number;
  activationsBytes: number;
  headBytes: number;
  kvStoreBytes: number;
  /** An upper bound of what the kernels hold besides. */
  scratchBytes: number;
  trainedParameters: number;
}

export interface BuildInfo {
  version: string;
  builder: 'cmake' | 'gyp';
  compiler: string;
  napiVersion: number;
  instructionSets: string[];
}

export interface BackendReport {
  device: DeviceName;
  usable: boolean;
  /** The error's code where it is not usable. */
  code?: string;
  /** The instruction set or device chosen, or why the backend is not usable. */
  detail: string;
}

export type ModelSource =
  | { kind: 'files'; paths: string[] }
  | { kind: 'random'; seed: number; standardDeviation: number };

export interface Addon {
  buildInfo(): BuildInfo;
  backends(): BackendReport[];
  /** Owns a thread and a pool of `threads`; 0 = every core of the affinity mask. */
  openSession(options: { device: DeviceName; deviceIndex?: number; threads: number }): SessionHandle;
  /** What the session got: the device, its instruction set and the number of compute threads. */
  sessionInfo(session: SessionHandle): { device: DeviceName; instructions: string; threads: number };
  /** What is left now where the session's models live. */
  availableBytes(session: SessionHandle): number;
  /** Refuses new calls, waits for those made before, frees everything; idempotent. */
  closeSession(session: SessionHandle): Promise<void>;
  /** Sets the CancelToken of a running or queued call; unknown ids are ignored. */
  cancelCall(session: SessionHandle, id: number): void;

  createModel(
    session: SessionHandle,
    request: { config: NativeModelConfig; dtype: DTypeName; source: ModelSource },
    control: CallControl,
  ): Promise<ModelHandle>;
  disposeModel(model: ModelHandle): Promise<void>;
  saveModel(model: ModelHandle, request: { path: string; dtype: DTypeName }, control: CallControl): Promise<void>;
  saveValueHead(model: ModelHandle, request: { path: string }, control: CallControl): Promise<void>;
  /** Adds a low-rank adapter; the weights below it are frozen. */
  addAdapter(
    model: ModelHandle,
    request: { config: NativeAdapterConfig; source: { kind: 'file'; path: string } | { kind: 'random'; seed: number } },
    control: CallControl,
  ): Promise<void>;
  saveAdapter(model: ModelHandle, request: { path: string }, control: CallControl): Promise<void>;
  saveMerged(model: ModelHandle, request: { path: string; dtype: DTypeName }, control: CallControl): Promise<void>;
  score(model: ModelHandle, request: NativeScoreRequest, control: CallControl): Promise<Float32Array>;
  /** Value head on every token but the first of each sequence, which is NaN. */
  values(model: ModelHandle, request: NativeValuesRequest, control: CallControl): Promise<Float32Array>;
  /** Sequences x width, row by row. */
  embed(model: ModelHandle, request: NativeEmbedRequest, control: CallControl): Promise<Float32Array>;
  generate(model: ModelHandle, request: NativeGenerateRequest, control: CallControl): Promise<NativeGenerateResult>;
  /** Allocates masters, gradients and moments: of the adapter where there is one. */
  enableTraining(model: ModelHandle, request: TrainingForms, control: CallControl): Promise<void>;
  accumulateGradients(model: ModelHandle, request: NativeLossRequest, control: CallControl): Promise<NativeLossResult>;
  applyGradients(model: ModelHandle, request: NativeUpdateRequest, control: CallControl): Promise<NativeUpdateResult>;
  saveOptimizerState(model: ModelHandle, request: { path: string }, control: CallControl): Promise<void>;
  loadOptimizerState(model: ModelHandle, request: { path: string }, control: CallControl): Promise<void>;
  /** A copy as f32, for inspection and tests. */
  readTensor(
    model: ModelHandle,
    request: { name: string; what: 'value' | 'gradient' | 'moment1' | 'moment2' },
    control: CallControl,
  ): Promise<Float32Array>;
  planTraining(request: {
    config: NativeModelConfig;
    dtype: DTypeName;
    maxBatchTokens: number;
    headChunkRows: number;
    recompute: Recompute;
    threads: number;
    adapter?: NativeAdapterConfig;
    moments: TrainingForms['moments'];
    masters: TrainingForms['masters'];
  }): NativeMemoryPlan;
  /** Micro-benchmarks: one timed run of a kernel at a shape; see bench/. */
  benchmark(
    session: SessionHandle,
    request: { name: string; shape: Record<string, number>; dtype: DTypeName; repeats: number },
    control: CallControl,
  ): Promise<{ seconds: Float64Array; flops: number; bytes: number; checksum: number }>;
}
