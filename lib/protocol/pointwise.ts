import * as z from 'zod';
import { WinnowError } from '../errors.js';
import { RandomStream } from '../random.js';
import type { Answer, Completion, Prompt, Protocol, RankingInstance, Reward } from '../types.js';
import { type CommonWording, commonWordings } from './choose-wording.js';
import { parseFormat } from './completion-format.js';
import { compactWriters, describeTask } from './label-wording.js';
import { contextLines, neutralise } from './labels.js';
import { chooseCandidates, gradesById } from './shown.js';
import type { CaseSizes, TrainingCase } from './training-cases.js';

export interface PointwiseOptions {
  /**
   * `log_odds` (default): nothing is sampled; the score is log p(positive) - log p(negative) as the next text. `stated`: the model
   * thinks and states a number from 0 to `maximum`.
   */
  readonly score?: 'log_odds' | 'stated' | undefined;
  readonly wording?: CommonWording | undefined;
  /** The two answers of `log_odds`; default 'Yes' and 'No'. */
  readonly positive?: string | undefined;
  readonly negative?: string | undefined;
  /** Of `stated`; default 10. */
  readonly maximum?: number | undefined;
}

/** Plain data. */
export interface PointwiseState {
  readonly instance: RankingInstance;
  /** Aligned with the candidates; null where the answer was malformed. Undefined before the answers. */
  readonly scores: readonly (number | null)[] | undefined;
}

export interface PointwiseProtocol extends Protocol<PointwiseState> {
  promptFor(instance: RankingInstance, candidateId: string): Prompt;
  /** One candidate a case, relevant ones and others equally often. The sizes say only how many cases there are. */
  trainingCases(
    instance: RankingInstance,
    options: { readonly sizes: CaseSizes; readonly seed: number },
  ): readonly TrainingCase[];
  /** The supervised target: what this candidate's relevance is. */
  demonstrationText(instance: RankingInstance, prompt: Prompt, thought: string): string;
}

interface Settings {
  readonly stated: boolean;
  readonly wording: CommonWording;
  readonly choices: readonly [positive: string, negative: string];
  readonly maximum: number;
}

function settle(options: PointwiseOptions): Settings {
  const { score = 'log_odds', wording = 'labels', positive = 'Yes', negative = 'No', maximum = 10 } = options;
  const named = commonWordings.includes(wording) && ['log_odds', 'stated'].includes(score);
  if (!named || positive === negative || positive === '' || negative === '' || !(maximum > 0)) {
    throw new WinnowError('ERR_PROTOCOL_OPTION', 'the score of pointwise cannot be used', {
      expected: 'score log_odds or stated, two different answers, a maximum above 0',
      received: JSON.stringify({ score, wording, positive, negative, maximum }),
    });
  }
  return { stated: score === 'stated', wording, choices: [positive, negative], maximum };
}

function instructions({ stated, choices, maximum }: Settings): string {
  return stated
    ? `You judge one candidate. Think, close the thought with </think>, and then write only a number from 0 to ${maximum} inside <answer> and </answer>.`
    : `You judge one candidate. Answer only ${choices[0]} or ${choices[1]}.`;
}

/** Words for instruction-tuned models; the compact ones end in the candidate, as those of the other protocols do. */
function messagesFor(settings: Settings, instance: RankingInstance, text: string): Prompt['messages'] {
  const past = contextLines(instance.context);
  if (settings.wording !== 'labels') {
    const { contextLine, candidate } = compactWriters(settings.wording);
    return [{ role: 'user', content: `${past.map(contextLine).join('')}\n${candidate(text)}\n` }];
  }
  const { context, noun, property } = describeTask(instance);
  const question = settings.stated
    ? `How ${property} is this ${noun}, from 0 (not at all) to ${settings.maximum} (entirely)?`
    : `Is this ${noun} ${property}?`;
  const lines = [context, ...past, '', `Candidate: ${neutralise(text)}`, '', question];
  return [
    { role: 'system', content: instructions(settings) },
    { role: 'user', content: lines.join('\n') },
  ];
}

/** A decimal number from 0 to the maximum, and nothing else. */
function parseStated(maximum: number, completion: Pick<Completion, 'text' | 'stop'>, id: string): Answer {
  const parsed = parseFormat(completion);
  if (!parsed.ok) return parsed;
  const score = /^\d{1,9}(?:\.\d{1,9})?$/.test(parsed.answer) ? Number(parsed.answer) : Number.NaN;
  if (score >= 0 && score <= maximum) return { ok: true, ids: [id], thought: parsed.thought, score };
  const detail = JSON.stringify(parsed.answer.slice(0, 80));
  return { ok: false, reason: 'bad_score', detail, format: { think: true, answer: true } };
}

/** From the log-probabilities, or, for a sampled completion, +1 or -1 by which of the two it is. */
function parseChoice(
  choices: readonly [string, string],
  { text, choiceLogprobs }: Pick<Completion, 'text' | 'choiceLogprobs'>,
  id: string,
): Answer {
  const [positive, negative] = choiceLogprobs ?? [];
  if (positive !== undefined && negative !== undefined) {
    return { ok: true, ids: [id], thought: '', score: positive - negative };
  }
  const written = choices.indexOf(text.trim());
  if (written >= 0) return { ok: true, ids: [id], thought: '', score: written === 0 ? 1 : -1 };
  const detail = JSON.stringify(text.slice(0, 80));
  const reason = text.trim() === '' ? 'empty' : 'bad_score';
  return { ok: false, reason, detail, format: { think: true, answer: false } };
}

/** Best score first; ties in the order of the instance. A candidate without a score keeps its place, and the others fill theirs. */
function orderByScore(instance: RankingInstance, scores: readonly (number | null)[]): string[] {
  const scored = scores
    .flatMap((score, index) => (score === null ? [] : [{ score, index }]))
    .sort((a, b) => b.score - a.score || a.index - b.index);
  let next = 0;
  return scores.map((score, index) => {
    const place = score === null ? index : (scored[next++] as { index: number }).index;
    return (instance.candidates[place] as { id: string }).id;
  });
}

/** Share of the best grade of the instance, 0 to 1. */
function relevanceOf(instance: RankingInstance, id: string): number {
  const best = Math.max(...instance.relevance);
  return best > 0 ? (gradesById(instance).get(id) ?? 0) / best : 0;
}

/** Part `agreement`: 1 - |judged - relevance|, both from 0 to 1; -0.5 for a malformed answer. The format counts half each. */
function pointwiseReward(
  { stated, maximum }: Settings,
  instance: RankingInstance,
  prompt: Prompt,
  answer: Answer,
): Reward {
  const id = [...prompt.labels.values()][0] as string;
  const score = answer.ok ? answer.score : undefined;
  const judged = stated ? (score ?? 0) / maximum : 1 / (1 + Math.exp(-(score ?? 0)));
  const parts = {
    agreement: score === undefined ? -0.5 : 1 - Math.abs(judged - relevanceOf(instance, id)),
    format_think: answer.ok || answer.format.think ? 0 : -1,
    format_answer: answer.ok || answer.format.answer ? 0 : -1,
  };
  return { value: parts.agreement + 0.5 * parts.format_think + 0.5 * parts.format_answer, parts };
}

function drawCases(
  instance: RankingInstance,
  { sizes, seed }: { readonly sizes: CaseSizes; readonly seed: number },
  promptFor: PointwiseProtocol['promptFor'],
): TrainingCase[] {
  const relevant = instance.candidates.filter((_, index) => (instance.relevance[index] ?? 0) > 0);
  const others = instance.candidates.filter((_, index) => (instance.relevance[index] ?? 0) <= 0);
  const count = sizes === 'all' ? instance.candidates.length : 'count' in sizes ? sizes.count : sizes.length;
  return Array.from({ length: count }, (_, number) => {
    const random = new RandomStream(seed, 'pointwise-case', instance.id, number);
    const [first, second] = random.uniform() < 0.5 ? [relevant, others] : [others, relevant];
    const { id } = random.pick(first.length > 0 ? first : second);
    return { id: `${instance.id}#${number}`, instance, candidateIds: [id], prompt: promptFor(instance, id) };
  });
}

/** Every candidate judged by itself, all in one step; the comparison that users make. */
export function pointwiseProtocol(options: PointwiseOptions = {}): PointwiseProtocol {
  const settings = settle(options);
  const { stated, choices, maximum } = settings;
  const promptFor = (instance: RankingInstance, candidateId: string): Prompt => {
    const text = chooseCandidates(instance, [candidateId])[0]?.text ?? '';
    return {
      messages: messagesFor(settings, instance, text),
      prefix: stated ? '<think>' : '',
      labels: new Map([['A', candidateId]]),
      ...(stated ? {} : { choices }),
    };
  };
  const idOf = (prompt: Prompt): string => [...prompt.labels.values()][0] as string;
  return {
    name: `pointwise/${stated ? 'stated' : 'log-odds'}/${settings.wording}`,
    start: (instance) => ({ instance, scores: instance.candidates.length > 1 ? undefined : [null] }),
    prompts: ({ instance, scores }) =>
      scores === undefined ? instance.candidates.map(({ id }) => promptFor(instance, id)) : [],
    parse: (prompt, completion) =>
      stated ? parseStated(maximum, completion, idOf(prompt)) : parseChoice(choices, completion, idOf(prompt)),
    advance({ instance, scores }, answers) {
      if (scores !== undefined || answers.length !== instance.candidates.length) {
        throw new WinnowError('ERR_PROTOCOL_STEP', `instance ${instance.id} cannot take a step`, {
          expected: `one answer for each of ${instance.candidates.length} candidates, once`,
          received: `${answers.length} answers`,
        });
      }
      return { instance, scores: answers.map((answer) => (answer.ok ? (answer.score ?? null) : null)) };
    },
    done: ({ scores }) => scores !== undefined,
    ranking: ({ instance, scores }) => orderByScore(instance, scores ?? instance.candidates.map(() => null)),
    reward: (instance, prompt, answer) => pointwiseReward(settings, instance, prompt, answer),
    promptFor,
    trainingCases: (instance, caseOptions) => drawCases(instance, caseOptions, promptFor),
    demonstrationText(instance, prompt, thought) {
      const relevance = relevanceOf(instance, idOf(prompt));
      if (!stated) return relevance > 0 ? choices[0] : choices[1];
      return `${thought.trimEnd()}</think><answer>${Math.round(relevance * maximum * 100) / 100}</answer>`;
    },
  };
}

export const pointwiseSchema = z.strictObject({
  name: z.literal('pointwise'),
  score: z.enum(['log_odds', 'stated']).optional(),
  wording: z.enum(commonWordings).optional(),
  positive: z.string().min(1).optional(),
  negative: z.string().min(1).optional(),
  maximum: z.number().positive().optional(),
});
