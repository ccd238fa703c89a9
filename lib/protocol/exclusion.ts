import { WinnowError } from '../errors.js';
import { RandomStream } from '../random.js';
import type { Answer, Prompt, Protocol, RankingInstance } from '../types.js';
import { parseFormat } from './completion-format.js';
import { defaultExclusionWeights, type ExclusionWeights, exclusionReward } from './exclusion-reward.js';
import { compactWording, labelWording } from './label-wording.js';
import { bareLabel, type LabelStyle, labelAt } from './labels.js';
import { resolveName } from './names.js';
import { type R1Variant, r1Wording } from './r1-wording.js';
import { type CaseSizes, expandTrainingCases, type TrainingCase } from './training-cases.js';
import type { ExclusionWording, ShownCandidate } from './wording.js';

export interface ExclusionOptions {
  /** 'labels' (default) for instruction-tuned models; 'compact' and 'compact-phrases' for from-scratch word-level models. */
  readonly wording?: 'labels' | 'compact' | 'compact-phrases';
  /** The reference's prompts with names instead of labels; takes the place of `wording`. */
  readonly compat?: 'r1-ranker';
  /** Default 'evaluation'. */
  readonly compatVariant?: R1Variant;
  /** Default 'letters'. */
  readonly labelStyle?: LabelStyle;
  /** Of the order in which labelled candidates are shown; default 0. */
  readonly seed?: number;
  readonly weights?: Partial<ExclusionWeights>;
}

/** Plain data: what remains and what went, in order. */
export interface ExclusionState {
  readonly instance: RankingInstance;
  /** In the order of the instance. */
  readonly remaining: readonly string[];
  /** First excluded first: the first is the worst. */
  readonly excluded: readonly string[];
}

export interface ExclusionProtocol extends Protocol<ExclusionState> {
  /**
   * The prompt for any subset of an instance's candidates.
   *
   * @param key separates the shuffles of several prompts with the same candidates
   */
  promptFor(instance: RankingInstance, candidateIds: readonly string[], key: string): Prompt;
  /** Random subsets that hold a relevant candidate, with their prompts; see `expandTrainingCases`. */
  trainingCases(
    instance: RankingInstance,
    options: { readonly sizes: CaseSizes; readonly seed: number },
  ): readonly TrainingCase[];
  /** The text of a well-formed completion of `prompt` that excludes `candidateId`: the supervised target. */
  completionText(prompt: Prompt, thought: string, candidateId: string): string;
}

function chooseWording(options: ExclusionOptions): ExclusionWording {
  if (options.compat !== undefined) {
    if (options.compat !== 'r1-ranker' || options.wording !== undefined) {
      throw new WinnowError('ERR_PROTOCOL_OPTION', 'the prompt wording cannot be chosen', {
        expected: "either wording or compat: 'r1-ranker'",
        received: JSON.stringify({ wording: options.wording, compat: options.compat }),
      });
    }
    return r1Wording(options.compatVariant ?? 'evaluation');
  }
  switch (options.wording ?? 'labels') {
    case 'labels':
      return labelWording;
    case 'compact':
      return compactWording(false);
    case 'compact-phrases':
      return compactWording(true);
    default:
      throw new WinnowError('ERR_PROTOCOL_OPTION', 'there is no such wording', {
        expected: 'labels, compact or compact-phrases',
        received: String(options.wording),
      });
  }
}

/** Labels in a shuffled order, or names in the instance's order. */
function showCandidates(
  wording: ExclusionWording,
  instance: RankingInstance,
  candidateIds: readonly string[],
  key: string,
  options: ExclusionOptions,
): ShownCandidate[] {
  const wanted = new Set(candidateIds);
  const names = wording.names?.(instance);
  const chosen = instance.candidates
    .map(({ id, text }, index) => ({ id, text, index, label: names?.[index] ?? '' }))
    .filter(({ id }) => wanted.has(id));
  if (chosen.length !== candidateIds.length) {
    throw new WinnowError('ERR_PROTOCOL_CANDIDATE', `a prompt of instance ${instance.id} cannot be built`, {
      expected: 'distinct ids of its candidates',
      received: candidateIds.join(' '),
    });
  }
  if (!wording.labelled) return chosen;
  const random = new RandomStream(options.seed ?? 0, 'exclusion', 'order', instance.id, key);
  const style = options.labelStyle ?? 'letters';
  return random.shuffled(chosen).map((candidate, place) => ({ ...candidate, label: labelAt(place, style) }));
}

function resolveAnswer(wording: ExclusionWording, prompt: Prompt, thought: string, answer: string): Answer {
  const format = { think: true, answer: true };
  if (wording.labelled) {
    const id = prompt.labels.get(bareLabel(answer));
    if (id !== undefined) return { ok: true, ids: [id], thought };
    return { ok: false, reason: 'unknown_candidate', detail: JSON.stringify(answer.slice(0, 80)), format };
  }
  const resolution = resolveName(answer, [...prompt.labels.keys()]);
  if (resolution.kind === 'found') return { ok: true, ids: [prompt.labels.get(resolution.name) as string], thought };
  if (resolution.kind === 'ambiguous') {
    return { ok: false, reason: 'ambiguous_candidate', detail: resolution.names.join(' | '), format };
  }
  return { ok: false, reason: 'unknown_candidate', detail: JSON.stringify(answer.slice(0, 80)), format };
}

/** A malformed answer excludes the candidate that the prompt showed last: a fixed place, chosen without a look at the texts. */
function excludedBy(answer: Answer, prompt: Prompt): string {
  return (answer.ok ? answer.ids[0] : [...prompt.labels.values()].at(-1)) as string;
}

/**
 * IRanker's protocol: "which candidate is the least likely?", n - 1 times; the ranking is the reverse order of exclusion. One
 * prompt builder, one parser and one reward for training, evaluation and serving.
 *
 * `advance` on a malformed answer excludes the candidate shown last, without credit; whether it comes to that, or to a retry or
 * a failure, is the driver's policy.
 */
export function exclusionProtocol(options: ExclusionOptions = {}): ExclusionProtocol {
  const wording = chooseWording(options);
  const weights = { ...defaultExclusionWeights, ...options.weights };

  const promptFor = (instance: RankingInstance, candidateIds: readonly string[], key: string): Prompt => {
    const shown = showCandidates(wording, instance, candidateIds, key, options);
    return { ...wording.build(instance, shown), labels: new Map(shown.map(({ label, id }) => [label, id])) };
  };
  const promptOf = ({ instance, remaining }: ExclusionState): Prompt =>
    promptFor(instance, remaining, `step ${remaining.length}`);

  return {
    name: `exclusion/${wording.name}`,
    start: (instance) => ({ instance, remaining: instance.candidates.map(({ id }) => id), excluded: [] }),
    prompts: (state) => (state.remaining.length > 1 ? [promptOf(state)] : []),
    parse(prompt, completion) {
      const parsed = parseFormat(completion);
      return parsed.ok ? resolveAnswer(wording, prompt, parsed.thought, parsed.answer) : parsed;
    },
    advance(state, answers) {
      const [answer] = answers;
      if (answers.length !== 1 || answer === undefined || state.remaining.length < 2) {
        throw new WinnowError('ERR_PROTOCOL_STEP', `instance ${state.instance.id} cannot take a step`, {
          expected: `one answer for ${state.remaining.length} remaining candidates, of which there must be 2`,
          received: `${answers.length} answers`,
        });
      }
      const id = excludedBy(answer, promptOf(state));
      if (!state.remaining.includes(id)) {
        throw new WinnowError('ERR_PROTOCOL_STEP', `instance ${state.instance.id} cannot exclude a candidate`, {
          expected: `one of ${state.remaining.join(' ')}`,
          received: id,
        });
      }
      return {
        instance: state.instance,
        remaining: state.remaining.filter((other) => other !== id),
        excluded: [...state.excluded, id],
      };
    },
    done: (state) => state.remaining.length <= 1,
    ranking: (state) => [...state.remaining, ...state.excluded.slice().reverse()],
    reward: (instance, prompt, answer) => exclusionReward(instance, prompt.labels.values(), answer, weights),
    promptFor,
    trainingCases: (instance, caseOptions) =>
      expandTrainingCases(instance, caseOptions, (ids, key) => promptFor(instance, ids, key)),
    completionText(prompt, thought, candidateId) {
      const label = [...prompt.labels].find(([, id]) => id === candidateId)?.[0];
      if (label === undefined) {
        throw new WinnowError('ERR_PROTOCOL_CANDIDATE', 'a completion cannot be written', {
          expected: 'a candidate that the prompt shows',
          received: candidateId,
        });
      }
      return wording.complete(thought, label);
    },
  };
}
