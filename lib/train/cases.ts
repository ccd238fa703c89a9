/** Training cases: which prompt of which instance a position of a stage stands for. A pure function of (seed, stage, position). */
import type { AnyProtocol } from '../protocol/index.js';
import { stableKey } from '../random.js';
import type { Prompt, Protocol, RankingInstance } from '../types.js';
import { DataOrder, MixedOrder, type MixturePart } from './data-order.js';
import type { Judgement } from './data-source.js';

export interface PromptCase {
  readonly instance: RankingInstance;
  readonly prompt: Prompt;
  /** Identity for the random numbers; differs from position to position. */
  readonly key: number;
}

/** Numbers of candidates, drawn uniformly from minimum .. maximum. */
export interface SizeRange {
  readonly minimum: number;
  readonly maximum: number;
}

export interface SizeCurriculum extends SizeRange {
  readonly rampSteps: number;
}

/** The sizes of a step (from 0): the largest grows linearly from `minimum` and reaches `maximum` at step `rampSteps`. */
export function sizesAt({ minimum, maximum, rampSteps }: SizeCurriculum, step: number): SizeRange {
  if (step >= rampSteps) return { minimum, maximum };
  return { minimum, maximum: minimum + Math.floor(((maximum - minimum) * step) / rampSteps) };
}

/** A protocol that can make prompts for random subsets of the candidates, such as `exclusion`. */
export interface ExpandingProtocol extends Protocol<unknown> {
  trainingCases(
    instance: RankingInstance,
    options: { readonly sizes: SizeRange & { readonly count: number }; readonly seed: number },
  ): readonly { readonly prompt: Prompt }[];
}

/** A protocol that can write the completion of somebody who knows the order of the candidates shown. */
export interface DemonstratingProtocol extends Protocol<unknown> {
  demonstrationText(instance: RankingInstance, prompt: Prompt, thought: string, bestFirst: readonly string[]): string;
}

export type { AnyProtocol };

export interface CaseSettings {
  readonly instances: readonly RankingInstance[];
  readonly protocol: AnyProtocol;
  readonly sizes: SizeCurriculum;
  readonly casesPerStep: number;
  readonly seed: number;
  /** Keeps the draws of different stages apart. */
  readonly stageKey: string;
  /** Sources of `instances`, in order, with their weights; absent: one source. */
  readonly mixture?: readonly MixturePart[] | undefined;
}

export class CaseSource {
  readonly #instances: readonly RankingInstance[];
  readonly #protocol: AnyProtocol;
  readonly #sizes: SizeCurriculum;
  readonly #casesPerStep: number;
  readonly #seed: number;
  readonly #stage: string;
  readonly #order: DataOrder | MixedOrder;

  constructor(settings: CaseSettings) {
    const { instances, protocol, sizes, casesPerStep, seed, stageKey, mixture } = settings;
    this.#instances = instances;
    this.#protocol = protocol;
    this.#sizes = sizes;
    this.#casesPerStep = casesPerStep;
    this.#seed = seed;
    this.#stage = stageKey;
    this.#order =
      mixture === undefined ? new DataOrder(instances.length, seed, stageKey) : new MixedOrder(mixture, seed, stageKey);
  }

  slice(start: number, count: number): PromptCase[] {
    return Array.from({ length: count }, (_, offset) => this.at(start + offset));
  }

  at(position: number): PromptCase {
    const instance = this.#instances[this.#order.at(position)] as RankingInstance;
    const key = stableKey('case', this.#seed, this.#stage, position);
    return { instance, key, prompt: this.#promptOf(instance, key, position) };
  }

  /** A protocol without subsets is trained on the prompts of its first step. */
  #promptOf(instance: RankingInstance, key: number, position: number): Prompt {
    const protocol = this.#protocol;
    const sizes = sizesAt(this.#sizes, Math.floor(position / this.#casesPerStep));
    const prompts = canExpand(protocol)
      ? protocol.trainingCases(instance, { sizes: { ...sizes, count: 1 }, seed: key }).map(({ prompt }) => prompt)
      : protocol.prompts(protocol.start(instance));
    return prompts[0] as Prompt;
  }
}

export function canDemonstrate(protocol: AnyProtocol): protocol is DemonstratingProtocol {
  return typeof (protocol as Partial<DemonstratingProtocol>).demonstrationText === 'function';
}

/** The completion of a teacher: what the protocol answers from its order, and the thought that leads there. */
export function demonstrationText(
  protocol: DemonstratingProtocol,
  { bestFirst, thought }: Judgement,
  instance: RankingInstance,
  prompt: Prompt,
): string {
  const write = (text: string): string => protocol.demonstrationText(instance, prompt, text, bestFirst);
  const answer = protocol.parse(prompt, { text: write(''), stop: 'stop_token' });
  return write(thought(answer.ok ? answer.ids : []));
}

export function canExpand(protocol: AnyProtocol): protocol is ExpandingProtocol {
  return typeof (protocol as Partial<ExpandingProtocol>).trainingCases === 'function';
}
