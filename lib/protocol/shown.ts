/** Which candidates a prompt shows, under which labels and in which order. */
import { WinnowError } from '../errors.js';
import { RandomStream } from '../random.js';
import type { RankingInstance } from '../types.js';
import { type LabelStyle, labelAt } from './labels.js';
import type { ShownCandidate } from './wording.js';

/** The candidates of these ids with their texts, in the order of the ids. @throws WinnowError ERR_PROTOCOL_CANDIDATE */
export function chooseCandidates(
  instance: RankingInstance,
  candidateIds: readonly string[],
): Omit<ShownCandidate, 'label'>[] {
  const byId = new Map(instance.candidates.map(({ id, text }, index) => [id, { id, text, index }]));
  const chosen = candidateIds.map((id) => byId.get(id));
  if (new Set(candidateIds).size !== candidateIds.length || !chosen.every((candidate) => candidate !== undefined)) {
    throw new WinnowError('ERR_PROTOCOL_CANDIDATE', `a prompt of instance ${instance.id} cannot be built`, {
      expected: 'distinct ids of its candidates',
      received: candidateIds.join(' '),
    });
  }
  return chosen;
}

/** In the order in which the instance has them, so that a shuffle depends on which candidates there are and not on their order. */
export function inInstanceOrder<T extends { readonly index: number }>(candidates: readonly T[]): T[] {
  return candidates.toSorted((a, b) => a.index - b.index);
}

/** Labels by place: the first shown is A or 1. */
export function labelled(candidates: readonly Omit<ShownCandidate, 'label'>[], style: LabelStyle): ShownCandidate[] {
  return candidates.map((candidate, place) => ({ ...candidate, label: labelAt(place, style) }));
}

/** A shuffle that depends on (seed, protocol, instance, key) alone. */
export function shuffledFor<T>(
  candidates: readonly T[],
  seed: number,
  ...parts: readonly [protocol: string, instanceId: string, key: string]
): T[] {
  const [protocol, instanceId, key] = parts;
  return new RandomStream(seed, protocol, 'order', instanceId, key).shuffled(candidates);
}

/** The label under which a prompt shows a candidate. @throws WinnowError ERR_PROTOCOL_CANDIDATE */
export function labelOf(prompt: { readonly labels: ReadonlyMap<string, string> }, candidateId: string): string {
  const label = [...prompt.labels].find(([, id]) => id === candidateId)?.[0];
  if (label === undefined) {
    throw new WinnowError('ERR_PROTOCOL_CANDIDATE', 'a completion cannot be written', {
      expected: 'a candidate that the prompt shows',
      received: candidateId,
    });
  }
  return label;
}

/** Relevance by candidate id. */
export function gradesById(instance: RankingInstance): Map<string, number> {
  return new Map(instance.candidates.map(({ id }, index) => [id, instance.relevance[index] ?? 0]));
}
