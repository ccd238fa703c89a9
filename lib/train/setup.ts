/** From settings to the living parts of a run: data, protocol, tokenizer, session and model. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { WinnowError } from '../errors.js';
import {
  kAdapterConfigFile,
  type Model,
  type ModelSource,
  type NativeModelConfig,
  openSession,
  planTraining,
  readAdapterFolder,
  readModelFolder,
  type Session,
  writeModelConfig,
} from '../native/index.js';
import { LanguageModel, makeProtocol } from '../protocol/index.js';
import { buildWordTokenizer, Tokenizer } from '../text/index.js';
import type { RankingInstance } from '../types.js';
import { adapterOf, addAdapter, requireAdapterFits, saveAdapterFolder } from './adapter.js';
import { type AnyProtocol, canDemonstrate, demonstrationText } from './cases.js';
import { type Checkpoint, kOptimizerFile, kWeightsFile } from './checkpoint.js';
import type { ResolvedConfig, ScratchConfig } from './config.js';
import { kValueHeadFile } from './critic-files.js';
import { loadTrainingData, type TrainingData } from './data-source.js';
import type { EncodeCompletion } from './examples.js';
import type { RewardOptions } from './reward-function.js';
import type { TrainableModel } from './stage.js';

/** What a run works with. `dispose` frees the model and the session. */
export interface RunParts {
  readonly data: TrainingData;
  readonly protocol: AnyProtocol;
  readonly model: TrainableModel;
  readonly sampler: Pick<LanguageModel, 'render' | 'complete' | 'generator'>;
  readonly encode: EncodeCompletion;
  readonly device: string;
  readonly parameters: number;
  readonly trainedParameters: number;
  readonly native: NativeModelConfig;
  /** Bytes that are left now where the model lives. */
  availableBytes(): number;
  /** Writes the files of a model folder besides the weights. */
  writeModelFiles(folder: string): void;
  /** Writes a model folder, or with LoRA the adapter's: all that a later run, or PEFT, needs of the policy. */
  saveModel(folder: string): Promise<void>;
  /** Opens what `saveModel` wrote, or another model folder, as the frozen policy of the KL term. */
  openReference(folder: string): Promise<TrainableModel>;
  /** Opens a model that trains with a value head: the folder's own, or one of zeros. */
  openCritic(folder: string): Promise<TrainableModel>;
  dispose(): Promise<void>;
}

/** Parts of the caller's own, in place of those that the settings describe. */
export interface OwnParts extends RewardOptions {
  readonly protocol?: AnyProtocol;
  readonly train?: readonly RankingInstance[];
  readonly test?: readonly RankingInstance[];
}

/** Makes the parts, at the weights and moments of `checkpoint` if there is one. */
export type Prepare = (
  config: ResolvedConfig,
  checkpoint: Checkpoint | undefined,
  own: OwnParts,
  signal: AbortSignal,
) => Promise<RunParts>;

export const prepare: Prepare = async (config, checkpoint, own, signal) => {
  requireAdapterFits(config);
  const loaded = await loadTrainingData(config.data, config.seed);
  const mixture = own.train === undefined ? loaded.mixture : undefined;
  const data = { ...loaded, mixture, train: own.train ?? loaded.train, test: own.test ?? loaded.test };
  const protocol = own.protocol ?? makeProtocol(config.protocol);
  const { tokenizer, native, source, eosTokenIds } = describeModel(config, checkpoint, data, protocol);
  const session = openSession({ device: config.device, threads: config.threads });
  try {
    const model = await session.createModel({ config: native, dtype: config.model.dtype, source }, { signal });
    const writeModelFiles = modelFilesWriter(native, tokenizer, eosTokenIds);
    const sampler = new LanguageModel(model, tokenizer, { stopTokens: eosTokenIds });
    await addAdapter(model, config, checkpoint, signal);
    await model.enableTraining({ signal, ...config.optimizer });
    if (checkpoint !== undefined) await model.loadOptimizerState(join(checkpoint.path, kOptimizerFile));
    return {
      ...{ data, protocol, model, sampler },
      encode: completionEncoder(tokenizer, eosTokenIds),
      device: describeDevice(session),
      parameters: countParameters(native),
      trainedParameters: countTrained(config, native),
      native,
      availableBytes: () => session.availableBytes,
      writeModelFiles,
      saveModel: (folder) => saveModel(folder, config, model, writeModelFiles),
      openReference: (folder) => openReference(session, folder, config, signal),
      openCritic: (folder) => openCritic(session, folder, model, { signal, ...config.optimizer }),
      dispose: () => session.close(),
    };
  } catch (error) {
    await session.close();
    throw error;
  }
};

export interface ModelDescription {
  readonly tokenizer: Tokenizer;
  readonly native: NativeModelConfig;
  readonly source: ModelSource;
  readonly eosTokenIds: readonly number[];
}

export function describeModel(
  config: ResolvedConfig,
  checkpoint: Checkpoint | undefined,
  data: TrainingData,
  protocol: AnyProtocol,
): ModelDescription {
  // A checkpoint of a run with an adapter holds the adapter alone.
  const folder = config.model.lora === undefined ? (checkpoint?.path ?? config.model.folder) : config.model.folder;
  if (folder !== undefined) {
    const { config: plain, weightFiles, eosTokenIds } = readModelFolder(folder);
    const native = asUsed(plain, config);
    const paths = native.valueHead ? [...weightFiles, ...valueHeadFiles(folder)] : [...weightFiles];
    const tokenizer = Tokenizer.fromFolder(folder);
    const eos = tokenizer.eosTokenId;
    const stops = eosTokenIds.length > 0 || eos === undefined ? eosTokenIds : [eos];
    return { tokenizer, native, source: { kind: 'files', paths }, eosTokenIds: stops };
  }
  const scratch = config.model.scratch as ScratchConfig;
  const tokenizer = buildWordTokenizer(trainingTexts(config, data, protocol), {
    minimumCount: scratch.minimumWordCount,
  });
  const source: ModelSource = { kind: 'random', seed: config.seed, standardDeviation: scratch.standardDeviation };
  const native = asUsed(scratchModel(scratch, tokenizer.vocabularySize), config);
  return { tokenizer, native, source, eosTokenIds: [tokenizer.eosTokenId as number] };
}

/** With the format of its keys; and where a critic lives on the policy's body, the policy has its head from the start. */
function asUsed(
  native: NativeModelConfig,
  { model: { dtype, keyValueDtype = dtype }, stages }: ResolvedConfig,
): NativeModelConfig {
  const shared = stages.some((stage) => stage.kind === 'ppo' && stage.critic.body === 'shared');
  return { ...native, keyValueDtype, ...(shared ? { valueHead: true } : {}) };
}

function valueHeadFiles(folder: string): string[] {
  const path = join(folder, kValueHeadFile);
  return existsSync(path) ? [path] : [];
}

/** The texts that a tokenizer made on the spot must know: prompts of the training instances and completions of the teachers. */
function* trainingTexts(config: ResolvedConfig, data: TrainingData, protocol: AnyProtocol): Generator<string> {
  const teachers = config.stages.flatMap((stage) =>
    stage.kind === 'sft' && stage.examples === undefined ? [data.demonstrator(stage.demonstrations, config.seed)] : [],
  );
  for (const instance of data.train) {
    for (const prompt of protocol.prompts(protocol.start(instance))) {
      yield prompt.messages.map(({ content }) => content).join('') + prompt.prefix;
      if (!canDemonstrate(protocol)) continue;
      for (const teach of teachers) {
        yield demonstrationText(protocol, teach(instance, prompt, 0), instance, prompt);
      }
    }
  }
}

/** A decoder of the Qwen3 form (`qkNorm`) or the Llama form. */
export function scratchModel(scratch: ScratchConfig, vocabulary: number): NativeModelConfig {
  const { width, layers, heads, maxPositions, qkNorm, tiedHead, ropeTheta } = scratch;
  return {
    ...{ vocabulary, width, layers, heads, maxPositions, qkNorm, tiedHead, ropeTheta },
    feedForward: scratch.feedForward ?? Math.ceil((8 * width) / 3 / 8) * 8,
    kvHeads: scratch.kvHeads ?? heads,
    headDim: scratch.headDim ?? width / heads,
    normEpsilon: 1e-6,
    qkvBias: scratch.attentionBias,
    outputBias: scratch.attentionBias,
    ropeScaling: 'none',
    ropeFactor: 1,
    ropeLowFrequency: 1,
    ropeHighFrequency: 4,
    ropeOriginalPositions: maxPositions,
  };
}

export function countParameters(config: NativeModelConfig): number {
  const { vocabulary, width, feedForward, layers, heads, kvHeads, headDim } = config;
  const attention = 2 * width * headDim * (heads + kvHeads) + (config.qkNorm ? 2 * headDim : 0);
  const biases = (config.qkvBias ? headDim * (heads + 2 * kvHeads) : 0) + (config.outputBias ? width : 0);
  const layer = attention + biases + 3 * width * feedForward + 2 * width;
  const ends = vocabulary * width * (config.tiedHead ? 1 : 2) + (config.valueHead ? width : 0);
  return ends + layers * layer + width;
}

/** Parameters that the optimizer moves: all, or those of the adapter. */
export function countTrained(config: ResolvedConfig, native: NativeModelConfig): number {
  const adapter = adapterOf(config);
  if (adapter === undefined) return countParameters(native);
  return planTraining({ config: native, dtype: config.model.dtype, adapter }).trainedParameters;
}

/** The text of a completion and the token that ends it; the tokens that sampling would have made. */
export function completionEncoder(tokenizer: Tokenizer, eosTokenIds: readonly number[]): EncodeCompletion {
  const stop = tokenizer.eosTokenId ?? eosTokenIds[0];
  if (stop === undefined) {
    throw new WinnowError('ERR_MODEL_FOLDER', 'the model has no token that ends a text', {
      expected: 'eos_token in tokenizer_config.json, or eos_token_id in config.json',
    });
  }
  return (text) => Int32Array.from([...tokenizer.encode(text), stop]);
}

function modelFilesWriter(
  native: NativeModelConfig,
  tokenizer: Tokenizer,
  eosTokenIds: readonly number[],
): RunParts['writeModelFiles'] {
  return (folder) => {
    const padTokenId = tokenizer.padTokenId;
    writeModelConfig(folder, native, {
      eosTokenIds: [...eosTokenIds],
      ...(padTokenId === undefined ? {} : { padTokenId }),
    });
    tokenizer.saveTo(folder);
  };
}

async function saveModel(
  folder: string,
  config: ResolvedConfig,
  model: Model,
  writeModelFiles: RunParts['writeModelFiles'],
): Promise<void> {
  const adapter = adapterOf(config);
  if (adapter !== undefined) return saveAdapterFolder(folder, model, adapter, config.model.folder as string);
  writeModelFiles(folder);
  await model.save(join(folder, kWeightsFile), config.model.dtype);
}

async function openReference(
  session: Session,
  folder: string,
  { model: { dtype, keyValueDtype = dtype, folder: base } }: ResolvedConfig,
  signal: AbortSignal,
): Promise<Model> {
  const adapts = existsSync(join(folder, kAdapterConfigFile));
  const { config, weightFiles } = readModelFolder(adapts && base !== undefined ? base : folder);
  const source: ModelSource = { kind: 'files', paths: weightFiles };
  const model = await session.createModel({ config: { ...config, keyValueDtype }, dtype, source }, { signal });
  if (adapts) {
    const adapter = readAdapterFolder(folder);
    await model.addAdapter(adapter.config, { kind: 'file', path: adapter.weightsFile }, { signal });
  }
  return model;
}

async function openCritic(
  session: Session,
  folder: string,
  policy: Model,
  training: Parameters<Model['enableTraining']>[0] & { readonly signal: AbortSignal },
): Promise<Model> {
  const { signal } = training;
  const { config, weightFiles } = readModelFolder(folder);
  const { vocabulary, keyValueDtype = policy.dtype } = policy.config;
  if (config.vocabulary !== vocabulary) {
    throw new WinnowError('ERR_MODEL_FOLDER', `the critic of ${folder} reads other tokens than the policy`, {
      expected: `a vocabulary of ${vocabulary}`,
      received: String(config.vocabulary),
    });
  }
  const source: ModelSource = { kind: 'files', paths: [...weightFiles, ...valueHeadFiles(folder)] };
  const native = { ...config, keyValueDtype, valueHead: true };
  const critic = await session.createModel({ config: native, dtype: policy.dtype, source }, { signal });
  await critic.enableTraining(training);
  return critic;
}

function describeDevice({ device, instructions, threads }: Session): string {
  return `${device} (${instructions}, ${threads} ${threads === 1 ? 'thread' : 'threads'})`;
}
