import { type AdapterConfig, type AdapterSource, toNativeAdapter } from './adapter.js';
import type {
  Addon,
  DTypeName,
  ModelHandle,
  NativeModelConfig,
  NativeUpdateResult,
  TrainingForms,
} from './addon-types.js';
import type { CallOptions, CallRunner } from './calls.js';
import { splitByOffsets } from './checks.js';
import {
  type EmbedRequest,
  fromNativeGenerate,
  type GenerateRequest,
  type GenerateResult,
  type LossRequest,
  type LossResult,
  type ScoreRequest,
  toNativeEmbed,
  toNativeGenerate,
  toNativeLoss,
  toNativeScore,
  toNativeUpdate,
  toNativeValues,
  type UpdateRequest,
  type ValuesRequest,
} from './requests.js';

/** What is kept of a tensor: the weight itself, and when training its gradient and AdamW's moments. */
export type TensorPart = 'value' | 'gradient' | 'moment1' | 'moment2';

interface ModelParts {
  addon: Addon;
  calls: CallRunner;
  handle: ModelHandle;
  config: NativeModelConfig;
  dtype: DTypeName;
}

/**
 * A decoder on a session. Every call copies its arrays in, runs after the calls made before it, and rejects
 * with a WinnowError: ERR_ARGUMENT, ERR_DISPOSED, ERR_SESSION_CLOSED and those named below.
 */
export class Model {
  readonly config: NativeModelConfig;
  readonly dtype: DTypeName;
  readonly #addon: Addon;
  readonly #calls: CallRunner;
  readonly #handle: ModelHandle;
  #trains = false;

  /** Use `session.createModel`. */
  constructor(parts: ModelParts) {
    this.#addon = parts.addon;
    this.#calls = parts.calls;
    this.#handle = parts.handle;
    this.config = parts.config;
    this.dtype = parts.dtype;
  }

  /** Whether `enableTraining` has been done. */
  get trains(): boolean {
    return this.#trains;
  }

  /**
   * Log-probabilities: result[s][i] = log p(token i | tokens before i); the first entry of each is NaN.
   *
   * @throws WinnowError ERR_TOKEN_RANGE, ERR_CONTEXT_LENGTH, ERR_MEMORY_PLAN
   */
  async score(request: ScoreRequest, options?: CallOptions): Promise<Float32Array[]> {
    const native = toNativeScore(request);
    const flat = await this.#calls.run((control) => this.#addon.score(this.#handle, native, control), options);
    return splitByOffsets(flat, native.offsets);
  }

  /**
   * Values by the value head: result[s][i] = V(tokens before i), read where token i is predicted; the first entry of each is NaN.
   *
   * @throws WinnowError ERR_VALUE_HEAD, ERR_TOKEN_RANGE, ERR_CONTEXT_LENGTH
   */
  async values(request: ValuesRequest, options?: CallOptions): Promise<Float32Array[]> {
    const native = toNativeValues(request);
    const flat = await this.#calls.run((control) => this.#addon.values(this.#handle, native, control), options);
    return splitByOffsets(flat, native.offsets);
  }

  /**
   * One vector of `config.width` a sequence: the mean over its tokens of the final norm's output, the model's own embedding of a
   * text. It depends on the sequence's tokens alone, bit for bit on the CPU.
   *
   * @throws WinnowError ERR_SHAPE for a sequence without tokens, ERR_TOKEN_RANGE, ERR_CONTEXT_LENGTH
   */
  async embed(request: EmbedRequest, options?: CallOptions): Promise<Float32Array[]> {
    const native = toNativeEmbed(request);
    const flat = await this.#calls.run((control) => this.#addon.embed(this.#handle, native, control), options);
    const { width } = this.config;
    return request.sequences.map((_, index) => flat.slice(index * width, (index + 1) * width));
  }

  /**
   * Samples completions. Sample i of a prompt depends on (seed, prompt key, i) and the prompt alone.
   *
   * @throws WinnowError ERR_PROMPT_EMPTY, ERR_TOKEN_RANGE, ERR_CONTEXT_LENGTH, ERR_MEMORY_PLAN
   */
  async generate(request: GenerateRequest, options?: CallOptions): Promise<GenerateResult> {
    const native = toNativeGenerate(request);
    const prompts = request.prompts.length;
    const result = await this.#calls.run((control) => this.#addon.generate(this.#handle, native, control), options);
    return fromNativeGenerate(result, prompts);
  }

  /**
   * Adds a low-rank adapter (LoRA), with which the model scores and samples from now on, and freezes the weights below it. Once a
   * model, and before `enableTraining`.
   *
   * @throws WinnowError ERR_ADAPTER_CONFIG, ERR_ADAPTER_TARGET, ERR_ADAPTER_STATE, ERR_FILE_OPEN, ERR_FILE_FORMAT, ERR_TENSOR_*,
   *   ERR_MEMORY_PLAN
   */
  async addAdapter(config: AdapterConfig, source: AdapterSource, options?: CallOptions): Promise<void> {
    const native = { config: toNativeAdapter(config), source };
    await this.#calls.run((control) => this.#addon.addAdapter(this.#handle, native, control), options);
  }

  /** Writes `adapter_model.safetensors` under PEFT's names, f32. Throws ERR_ADAPTER_STATE, ERR_FILE_WRITE. */
  async saveAdapter(path: string, options?: CallOptions): Promise<void> {
    await this.#calls.run((control) => this.#addon.saveAdapter(this.#handle, { path }, control), options);
  }

  /** Like `save`, with the adapter added to the weights in f32. Throws ERR_ADAPTER_STATE, ERR_FILE_WRITE. */
  async saveMerged(path: string, dtype: DTypeName, options?: CallOptions): Promise<void> {
    await this.#calls.run((control) => this.#addon.saveMerged(this.#handle, { path, dtype }, control), options);
  }

  /**
   * Allocates masters, gradients and moments, in f32 unless told otherwise (docs/memory.md has the bytes): of all weights, or of
   * the adapter alone where there is one.
   *
   * @throws WinnowError ERR_MEMORY_PLAN
   */
  async enableTraining(options: CallOptions & Partial<TrainingForms> = {}): Promise<void> {
    const { moments = 'f32', masters = 'f32', ...call } = options;
    const forms = { moments, masters };
    await this.#calls.run((control) => this.#addon.enableTraining(this.#handle, forms, control), call);
    this.#trains = true;
  }

  /**
   * Adds the gradient of the loss to the parameters' gradients.
   *
   * @throws WinnowError ERR_NOT_TRAINING, ERR_TOKEN_RANGE, ERR_CONTEXT_LENGTH, ERR_MEMORY_PLAN
   */
  async accumulateGradients(request: LossRequest, options?: CallOptions): Promise<LossResult> {
    const native = toNativeLoss(request);
    const result = await this.#calls.run(
      (control) => this.#addon.accumulateGradients(this.#handle, native, control),
      options,
    );
    return { ...result, logprobs: splitByOffsets(result.logprobs, native.offsets) };
  }

  /** Clips, steps AdamW and zeroes the gradients; a non-finite gradient changes nothing and says `skipped`. */
  async applyGradients(request: UpdateRequest, options?: CallOptions): Promise<NativeUpdateResult> {
    const native = toNativeUpdate(request);
    return this.#calls.run((control) => this.#addon.applyGradients(this.#handle, native, control), options);
  }

  /**
   * Writes one safetensors file under Hugging Face names, whole or not at all. Throws ERR_FILE_WRITE, and ERR_ADAPTER_STATE where
   * there is an adapter: see `saveAdapter` and `saveMerged`.
   */
  async save(path: string, dtype: DTypeName, options?: CallOptions): Promise<void> {
    await this.#calls.run((control) => this.#addon.saveModel(this.#handle, { path, dtype }, control), options);
  }

  /** The value head, which `save` leaves out: one safetensors file with `score.weight` (1, width), f32. Throws ERR_VALUE_HEAD. */
  async saveValueHead(path: string, options?: CallOptions): Promise<void> {
    await this.#calls.run((control) => this.#addon.saveValueHead(this.#handle, { path }, control), options);
  }

  /** Masters and moments, bit for bit, in safetensors. */
  async saveOptimizerState(path: string, options?: CallOptions): Promise<void> {
    await this.#calls.run((control) => this.#addon.saveOptimizerState(this.#handle, { path }, control), options);
  }

  async loadOptimizerState(path: string, options?: CallOptions): Promise<void> {
    await this.#calls.run((control) => this.#addon.loadOptimizerState(this.#handle, { path }, control), options);
  }

  /** A copy of a tensor as f32, under its Hugging Face name. Throws ERR_TENSOR_MISSING, ERR_NOT_TRAINING. */
  async readTensor(name: string, what: TensorPart = 'value', options?: CallOptions): Promise<Float32Array> {
    return this.#calls.run((control) => this.#addon.readTensor(this.#handle, { name, what }, control), options);
  }

  /** Frees the memory after the calls made before; later calls reject with ERR_DISPOSED. May be called again. */
  dispose(): Promise<void> {
    return this.#calls.settle(() => this.#addon.disposeModel(this.#handle));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
