/**
 * A stand-in for the engine: a policy with one preference per candidate label, sampled with counter-based random numbers and
 * moved by the gradient of its log-probability. Deterministic, and its state decides what it samples next, so that a flaw in
 * resuming shows.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exclusionProtocol, LanguageModel } from '../../lib/protocol/index.js';
import { RandomStream } from '../../lib/random.js';
import { buildWordTokenizer, type Tokenizer } from '../../lib/text/index.js';
import type { ScratchConfig } from '../../lib/train/config.js';
import { loadTrainingData } from '../../lib/train/data-source.js';
import { type Prepare, type RunParts, scratchModel } from '../../lib/train/setup.js';

const kLabels = 'ABCDEFGH';
const kNative = scratchModel(
  {
    width: 16,
    layers: 1,
    heads: 2,
    maxPositions: 4096,
    tiedHead: true,
    qkNorm: true,
    attentionBias: false,
    ropeTheta: 1e4,
  } as ScratchConfig,
  1000,
);

export interface FakeBehaviour {
  /** Called at the beginning of every generate. */
  readonly onGenerate?: (model: FakeModel) => Promise<void> | void;
  readonly onSave?: (path: string) => void;
  /** Difference between the trainer's log-probabilities and the sampler's. */
  readonly mismatch?: number;
  /** Gradient norms that are not finite, by update. */
  readonly badUpdate?: number;
}

export class FakeModel {
  readonly config = { vocabulary: 100_000, maxPositions: 4096 };
  readonly calls: { seed: number; promptKeys: number[]; n: number }[] = [];
  readonly updates: { learningRate: number; step: number; beta1?: number; beta2?: number }[] = [];
  readonly losses: {
    sequences: Int32Array[];
    weight: Float32Array[];
    advantage: Float32Array[] | undefined;
    recompute: string | undefined;
    headChunkRows: number | undefined;
    dropoutSeed: number | undefined;
  }[] = [];
  readonly #tokenizer: Tokenizer;
  readonly #behaviour: FakeBehaviour;
  preferences = new Float64Array(kLabels.length);
  moments = new Float64Array(kLabels.length);
  #gradient = new Float64Array(kLabels.length);
  #updates = 0;
  disposed = false;

  constructor(tokenizer: Tokenizer, behaviour: FakeBehaviour = {}) {
    this.#tokenizer = tokenizer;
    this.#behaviour = behaviour;
  }

  async generate(request: Parameters<RunParts['sampler']['complete']>[1] & Record<string, unknown>) {
    const { prompts, promptKeys, completionsPerPrompt, seed, temperature } = request as unknown as {
      prompts: Int32Array[];
      promptKeys: number[];
      completionsPerPrompt: number;
      seed: number;
      temperature: number;
    };
    this.calls.push({ seed, promptKeys, n: completionsPerPrompt });
    await this.#behaviour.onGenerate?.(this);
    const completions = prompts.map((prompt, index) =>
      Array.from({ length: completionsPerPrompt }, (_, sample) => {
        const shown = new Set(this.#tokenizer.decode(prompt).match(/(?<=\[)[A-H](?=\])/g));
        const labels = [...kLabels].filter((label) => shown.has(label));
        const random = new RandomStream(seed, 'fake', promptKeys[index] as number, sample);
        const label = this.#draw(labels, temperature === 0 ? undefined : random.uniform());
        const text = random.uniform() < 0.1 ? ' nonsense' : ` likes ;</think><answer> [${label}]</answer>`;
        const tokens = Int32Array.from([...this.#tokenizer.encode(text), this.#tokenizer.eosTokenId as number]);
        return { tokens, logprobs: new Float32Array(tokens.length).fill(-0.5), stop: 'stop_token' as const };
      }),
    );
    return { completions };
  }

  #draw(labels: readonly string[], uniform: number | undefined): string {
    const weights = labels.map((label) => Math.exp(this.preferences[kLabels.indexOf(label)] as number));
    if (uniform === undefined) return labels[weights.indexOf(Math.max(...weights))] as string;
    let left = uniform * weights.reduce((sum, weight) => sum + weight, 0);
    const index = weights.findIndex((weight) => {
      left -= weight;
      return left < 0;
    });
    return labels[Math.max(index, 0)] as string;
  }

  async accumulateGradients(request: {
    sequences: Int32Array[];
    weight: Float32Array[];
    advantage?: Float32Array[];
    oldLogprob?: Float32Array[];
    referenceLogprob?: Float32Array[];
    recompute?: string;
    headChunkRows?: number;
    dropoutSeed?: number;
  }) {
    const { sequences, weight, advantage, recompute, headChunkRows, dropoutSeed } = request;
    const mismatch = this.#behaviour.mismatch ?? 0;
    this.losses.push({ sequences, weight, advantage, recompute, headChunkRows, dropoutSeed });
    let entropy = 0;
    for (const [index, tokens] of sequences.entries()) {
      const label = this.#tokenizer.decode(tokens).match(/<answer> \[([A-H])\]/)?.[1];
      const last = tokens.length - 1;
      entropy += (weight[index] as Float32Array).reduce((sum, value) => sum + value, 0);
      if (label === undefined) continue;
      const push = (weight[index]?.[last] as number) * (advantage?.[index]?.[last] ?? 1);
      this.#gradient[kLabels.indexOf(label)] = (this.#gradient[kLabels.indexOf(label)] as number) + push;
    }
    const entries = weight.flatMap((row) => [...row]).filter((value) => value !== 0).length;
    return {
      ...{ loss: -0.01, policyLoss: -0.01, kl: 0, entropy, logRatio: 0, clipped: 0, entries },
      logprobs: sequences.map((tokens) => new Float32Array(tokens.length).fill(-0.5 + mismatch)),
      absoluteLogRatio: mismatch * entropy,
      maxAbsoluteLogRatio: mismatch,
      ...{ forestTokens: 0, sequenceTokens: 0, forwardSeconds: 0, headSeconds: 0, backwardSeconds: 0 },
    };
  }

  async applyGradients(request: { learningRate: number; step: number; beta1?: number; beta2?: number }) {
    const { learningRate, beta1 = 0.9 } = request;
    this.#updates++;
    this.updates.push(request);
    const gradient = this.#gradient;
    this.#gradient = new Float64Array(kLabels.length);
    if (this.#updates === this.#behaviour.badUpdate)
      return { gradientNorm: Number.NaN, gradientNorms: {}, skipped: true };
    this.moments = this.moments.map((moment, index) => beta1 * moment + (1 - beta1) * (gradient[index] as number));
    this.preferences = this.preferences.map((value, index) => value + learningRate * (this.moments[index] as number));
    return { gradientNorm: Math.hypot(...gradient), gradientNorms: {}, skipped: false };
  }

  async score({ sequences }: { sequences: Int32Array[] }) {
    return sequences.map((tokens) => new Float32Array(tokens.length).fill(-0.5));
  }

  async save(path: string) {
    this.#behaviour.onSave?.(path);
    writeFileSync(path, JSON.stringify([...this.preferences]));
  }

  async saveOptimizerState(path: string) {
    writeFileSync(path, JSON.stringify([...this.moments]));
  }

  async loadOptimizerState(path: string) {
    this.moments = Float64Array.from(JSON.parse(readFileSync(path, 'utf8')));
  }

  async enableTraining() {}

  async dispose() {
    this.disposed = true;
  }
}

/** Parts around a fake model; `made` collects the models, newest last. */
export function fakePrepare(behaviour: FakeBehaviour = {}, made: FakeModel[] = []): Prepare {
  return async (config, checkpoint, own) => {
    const data = await loadTrainingData(config.data, config.seed);
    const protocol = own.protocol ?? exclusionProtocol({ wording: 'compact' });
    const tokenizer = buildWordTokenizer(data.train.map(({ context }) => ` ${context} likes ;`));
    const model = new FakeModel(tokenizer, behaviour);
    made.push(model);
    if (checkpoint !== undefined) {
      model.preferences = Float64Array.from(
        JSON.parse(readFileSync(join(checkpoint.path, 'model.safetensors'), 'utf8')) as number[],
      );
      await model.loadOptimizerState(join(checkpoint.path, 'trainer_state', 'optimizer.safetensors'));
    }
    const parts = {
      data: { ...data, train: own.train ?? data.train, test: own.test ?? data.test },
      ...{ protocol, model, device: 'fake', parameters: kLabels.length, trainedParameters: kLabels.length },
      native: kNative,
      availableBytes: () => Number.MAX_SAFE_INTEGER,
      sampler: new LanguageModel(model as never, tokenizer),
      encode: (text: string) => Int32Array.from([...tokenizer.encode(text), tokenizer.eosTokenId as number]),
      writeModelFiles: (folder: string) => tokenizer.saveTo(folder),
      saveModel: async (folder: string) => {
        tokenizer.saveTo(folder);
        await model.save(join(folder, 'model.safetensors'));
      },
      openReference: async () => new FakeModel(tokenizer),
      dispose: () => model.dispose(),
    };
    return parts as unknown as RunParts;
  };
}
