/** From settings to the living parts of a run: data, protocol, tokenizer, session and model. */
import { join } from 'node:path';
import { WinnowError } from '../errors.js';
import {
  type Model,
  type ModelSource,
  type NativeModelConfig,
  openSession,
  readModelFolder,
  type Session,
  writeModelConfig,
} from '../native/index.js';
import { LanguageModel, makeProtocol } from '../protocol/index.js';
import { buildWordTokenizer, Tokenizer } from '../text/index.js';
import type { RankingInstance } from '../types.js';
import { type AnyProtocol, canDemonstrate, demonstrationText } from './cases.js';
import { type Checkpoint, kOptimizerFile } from './checkpoint.js';
import type { ResolvedConfig, ScratchConfig } from './config.js';
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
  /** Writes the files of a model folder besides the weights. */
  writeModelFiles(folder: string): void;
  /** Opens a frozen model for the KL term. */
  openReference(folder: string): Promise<TrainableModel>;
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
  const loaded = await loadTrainingData(config.data, config.seed);
  const mixture = own.train === undefined ? loaded.mixture : undefined;
  const data = { ...loaded, mixture, train: own.train ?? loaded.train, test: own.test ?? loaded.test };
  const protocol = own.protocol ?? makeProtocol(config.protocol);
  const { tokenizer, native, source, eosTokenIds } = describeModel(config, checkpoint, data, protocol);
  const session = openSession({ device: config.device, threads: config.threads });
  try {
    const model = await session.createModel({ config: native, dtype: config.model.dtype, source }, { signal });
    const sampler = new LanguageModel(model, tokenizer, { stopTokens: eosTokenIds });
    await model.enableTraining({ signal });
    if (checkpoint !== undefined) await model.loadOptimizerState(join(checkpoint.path, kOptimizerFile));
    return {
      ...{ data, protocol, model, sampler },
      encode: completionEncoder(tokenizer, eosTokenIds),
      device: describeDevice(session),
      parameters: countParameters(native),
      writeModelFiles: (folder) => writeModelFiles(folder, native, tokenizer, eosTokenIds),
      openReference: (folder) => openReference(session, folder, config.model.dtype, signal),
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
  const folder = checkpoint?.path ?? config.model.folder;
  if (folder !== undefined) {
    const { config: native, weightFiles, eosTokenIds } = readModelFolder(folder);
    const tokenizer = Tokenizer.fromFolder(folder);
    const eos = tokenizer.eosTokenId;
    const stops = eosTokenIds.length > 0 || eos === undefined ? eosTokenIds : [eos];
    return { tokenizer, native, source: { kind: 'files', paths: [...weightFiles] }, eosTokenIds: stops };
  }
  const scratch = config.model.scratch as ScratchConfig;
  const tokenizer = buildWordTokenizer(trainingTexts(config, data, protocol));
  const source: ModelSource = { kind: 'random', seed: config.seed, standardDeviation: scratch.standardDeviation };
  const native = scratchModel(scratch, tokenizer.vocabularySize);
  return { tokenizer, native, source, eosTokenIds: [tokenizer.eosTokenId as number] };
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
  return vocabulary * width * (config.tiedHead ? 1 : 2) + layers * layer + width;
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

function writeModelFiles(
  folder: string,
  native: NativeModelConfig,
  tokenizer: Tokenizer,
  eosTokenIds: readonly number[],
): void {
  const padTokenId = tokenizer.padTokenId;
  writeModelConfig(folder, native, {
    eosTokenIds: [...eosTokenIds],
    ...(padTokenId === undefined ? {} : { padTokenId }),
  });
  tokenizer.saveTo(folder);
}

async function openReference(
  session: Session,
  folder: string,
  dtype: 'f32' | 'bf16',
  signal: AbortSignal,
): Promise<Model> {
  const { config, weightFiles } = readModelFolder(folder);
  return session.createModel({ config, dtype, source: { kind: 'files', paths: [...weightFiles] } }, { signal });
}

function describeDevice({ device, instructions, threads }: Session): string {
  return `${device} (${instructions}, ${threads} ${threads === 1 ? 'thread' : 'threads'})`;
}
