/** Some rankings of an evaluation, with their calls, as a page shows them. */
import type { MeasureResult } from '../eval/index.js';
import type { RankingCall, RankingResult } from '../protocol/index.js';
import type { MalformedReason, RankingInstance } from '../types.js';

export interface ReadableCall {
  readonly step: number;
  readonly attempt: number;
  readonly outcome: 'ok' | MalformedReason;
  /** The candidates named, or what was wrong. */
  readonly says: string;
  /** In full for the first call of an instance alone: the others repeat most of it. */
  readonly prompt: string;
  readonly shown: string;
  readonly text: string;
  readonly tokens: number;
}

export interface ReadableRanking {
  readonly instance: string;
  readonly task: string;
  readonly context: string;
  readonly measures: readonly (readonly [name: string, value: number])[];
  /** Best first; empty when a malformed completion ended the instance. */
  readonly ranking: readonly { readonly text: string; readonly grade: number }[];
  readonly calls: readonly ReadableCall[];
}

/** Places of `count` of `total`, evenly spread, the first among them. */
export function spread(total: number, count: number): number[] {
  const kept = Math.min(total, count);
  return Array.from({ length: kept }, (_, index) => Math.floor((index * total) / kept));
}

/** The ranking of instance number `index`; `calls` are all of its own, as they came. */
export function readableRanking(
  instance: RankingInstance,
  { ranking = [] }: Pick<RankingResult, 'ranking'>,
  calls: readonly RankingCall[],
  { measures, index }: { readonly measures: readonly MeasureResult[]; readonly index: number },
): ReadableRanking {
  const byId = new Map(
    instance.candidates.map(({ id, text }, place) => [id, { text, grade: instance.relevance[place] ?? 0 }]),
  );
  return {
    ...{ instance: instance.id, task: instance.task, context: instance.context },
    measures: measures.map(({ name, perInstance }) => [name, perInstance[index] ?? Number.NaN] as const),
    ranking: ranking.flatMap((id) => byId.get(id) ?? []),
    calls: calls.map((call, place) => readableCall(call, (id) => byId.get(id)?.text ?? id, place === 0)),
  };
}

function readableCall(call: RankingCall, textOf: (id: string) => string, first: boolean): ReadableCall {
  const { step, attempt, answer, prompt, completion } = call;
  const { messages, prefix, labels } = prompt;
  const whole = [...messages.map(({ role, content }) => `${role}:\n${content}`), prefix].join('\n\n');
  return {
    ...{ step, attempt, text: completion.text, tokens: completion.tokens.length },
    outcome: answer.ok ? 'ok' : answer.reason,
    says: answer.ok ? answer.ids.map(textOf).join(' > ') : answer.detail,
    prompt: first ? whole : '',
    shown: [...labels].map(([label, id]) => `[${label}] ${textOf(id)}`).join('  '),
  };
}
