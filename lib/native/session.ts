import { availableParallelism } from 'node:os';
import { type AdapterConfig, toNativeAdapter } from './adapter.js';
import type {
  Addon,
  BackendReport,
  BuildInfo,
  DeviceName,
  DTypeName,
  ModelSource,
  NativeMemoryPlan,
  NativeModelConfig,
  Recompute,
  SessionHandle,
  TrainingForms,
} from './addon-types.js';
import { loadAddon } from './binding.js';
import { type CallOptions, CallRunner, callNow } from './calls.js';
import { argumentError, knownKeys } from './checks.js';
import { Model } from './model.js';
import { defaultHeadChunkRows } from './requests.js';

export type DeviceOption = 'auto' | DeviceName | `cuda:${number}`;

export interface SessionOptions {
  /** `auto` (the default) is `cuda` where it is usable and `cpu` elsewhere; a named device is used or refused. */
  device?: DeviceOption;
  /** Compute threads; 0 (the default) is every core that the process may use. */
  threads?: number;
}

export interface CreateModelRequest {
  config: NativeModelConfig;
  /** Format of the weights and of both operands of every product with them. */
  dtype: DTypeName;
  source: ModelSource;
}

export interface BenchmarkRequest {
  /** `peak`, `stream`, `linear_forward`, `linear_backward_input` or `linear_backward_weight`. */
  name: string;
  /** For the linear ones: rows `m`, outputs `n`, inputs `k`. */
  shape?: Record<string, number>;
  dtype?: DTypeName;
  repeats?: number;
}

export interface BenchmarkResult {
  /** Wall time of each repeat. */
  seconds: Float64Array;
  /** Operations and bytes of one repeat. */
  flops: number;
  bytes: number;
  checksum: number;
}

/**
 * A device with a native thread of its own. Calls run one at a time, in the order they were made; the
 * event loop stays free. An idle session does not keep the process alive.
 */
export class Session {
  readonly device: DeviceName;
  /** Compute threads in use. */
  readonly threads: number;
  /** The instruction set chosen, e.g. `avx2`. */
  readonly instructions: string;
  readonly #addon: Addon;
  readonly #handle: SessionHandle;
  readonly #calls: CallRunner;

  /** Use `openSession`. */
  constructor(addon: Addon, handle: SessionHandle) {
    this.#addon = addon;
    this.#handle = handle;
    this.#calls = new CallRunner(addon, handle);
    const info = callNow(() => addon.sessionInfo(handle));
    this.device = info.device;
    this.threads = info.threads;
    this.instructions = info.instructions;
  }

  /**
   * Loads weights from safetensors files, or draws them at random.
   *
   * @throws WinnowError ERR_MODEL_CONFIG, ERR_FILE_OPEN, ERR_FILE_FORMAT, ERR_TENSOR_MISSING, ERR_SHAPE,
   *   ERR_MEMORY_PLAN
   */
  async createModel(request: CreateModelRequest, options?: CallOptions): Promise<Model> {
    knownKeys('createModel', request, ['config', 'dtype', 'source']);
    const config = { ...request.config };
    const native = { config, dtype: request.dtype, source: request.source };
    const handle = await this.#calls.run((control) => this.#addon.createModel(this.#handle, native, control), options);
    return new Model({ addon: this.#addon, calls: this.#calls, handle, config, dtype: request.dtype });
  }

  /** Bytes that are left now where the session's models live: on the device, or of this machine's memory. */
  get availableBytes(): number {
    return callNow(() => this.#addon.availableBytes(this.#handle));
  }

  /** One timed run of a kernel, for `winnow bench`. */
  benchmark(request: BenchmarkRequest, options?: CallOptions): Promise<BenchmarkResult> {
    const { name, shape = {}, dtype = 'f32', repeats = 5 } = request;
    return this.#calls.run(
      (control) => this.#addon.benchmark(this.#handle, { name, shape, dtype, repeats }, control),
      options,
    );
  }

  /** Refuses new calls, waits for those already made, then frees every model. May be called again. */
  close(): Promise<void> {
    return this.#calls.settle(() => this.#addon.closeSession(this.#handle));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

interface ChosenDevice {
  readonly device: DeviceName;
  readonly deviceIndex: number;
}

function chooseDevice(addon: Addon, device: DeviceOption): ChosenDevice {
  const [, name, index = '0'] = /^(auto|cpu|reference|cuda)(?::(\d+))?$/.exec(device) ?? [];
  if (name === undefined || (index !== '0' && name !== 'cuda'))
    throw argumentError('openSession.device', 'auto, cpu, reference, cuda or cuda:N', device);
  if (name !== 'auto') return { device: name as DeviceName, deviceIndex: Number(index) };
  const cuda = addon.backends().find((report) => report.device === 'cuda');
  return { device: cuda?.usable ? 'cuda' : 'cpu', deviceIndex: 0 };
}

/**
 * Opens a session.
 *
 * @throws WinnowError ERR_NATIVE_NOT_FOUND, ERR_ARGUMENT, ERR_CPU_UNSUPPORTED, ERR_CUDA_NOT_BUILT and the other
 *   ERR_CUDA_ codes of docs/cuda.md
 */
export function openSession(options: SessionOptions = {}): Session {
  knownKeys('openSession', options, ['device', 'threads']);
  const { device = 'auto', threads = 0 } = options;
  const addon = loadAddon();
  return callNow(() => new Session(addon, addon.openSession({ ...chooseDevice(addon, device), threads })));
}

/** What each backend can do on this machine, or why it cannot. */
export function backends(): BackendReport[] {
  const addon = loadAddon();
  return callNow(() => addon.backends());
}

export function buildInfo(): BuildInfo {
  const addon = loadAddon();
  return callNow(() => addon.buildInfo());
}

export interface PlanTrainingRequest {
  config: NativeModelConfig;
  dtype: DTypeName;
  maxBatchTokens?: number;
  headChunkRows?: number;
  recompute?: Recompute;
  /** 0 = every core. */
  threads?: number;
  /** Of a run that trains an adapter alone. */
  adapter?: AdapterConfig | undefined;
  moments?: TrainingForms['moments'];
  masters?: TrainingForms['masters'];
}

/**
 * Memory that training would take, in bytes, before anything is allocated.
 *
 * @throws WinnowError ERR_ADAPTER_CONFIG, ERR_ADAPTER_TARGET for an adapter that the model cannot have
 */
export function planTraining(request: PlanTrainingRequest): NativeMemoryPlan {
  const { config, dtype, maxBatchTokens = 1024, recompute = 'none', adapter } = request;
  const { headChunkRows = defaultHeadChunkRows } = request;
  const { moments = 'f32', masters = 'f32' } = request;
  const threads = request.threads || availableParallelism();
  const addon = loadAddon();
  const own = adapter === undefined ? {} : { adapter: toNativeAdapter(adapter) };
  const shape = { maxBatchTokens, headChunkRows, recompute, threads, moments, masters };
  return callNow(() => addon.planTraining({ config, dtype, ...shape, ...own }));
}

/** The sum of a plan, in bytes. */
export function totalBytes(plan: NativeMemoryPlan): number {
  return (
    plan.weightsBytes +
    plan.optimizerBytes +
    plan.activationsBytes +
    plan.headBytes +
    plan.kvStoreBytes +
    plan.scratchBytes
  );
}
