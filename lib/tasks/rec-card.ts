import type { Interactions } from '../data/interactions.js';
import type { RankingInstance } from '../types.js';
import { describeTask, itemSetKey, type TokenCounter } from './card.js';
import type { RecSettings } from './rec.js';
import type { Sides } from './split.js';

/** What the builder notes in `RankingInstance.meta`. */
interface RecMeta {
  readonly userId: string;
  readonly historyItemIds: readonly string[];
  readonly targetItemId: string;
}

const metaOf = (instance: RankingInstance): RecMeta => instance.meta as unknown as RecMeta;

/** Counts, seeds, and the checks that the builder promises, computed from the finished instances. */
export function describeRec(
  data: Interactions,
  { task, ...settings }: RecSettings,
  eligible: number,
  sides: Sides<RankingInstance>,
  countTokens?: TokenCounter,
): Record<string, unknown> {
  const all = [...sides.train, ...sides.test];
  const titleCounts = new Map<string, number>();
  for (const title of data.titles.values()) titleCounts.set(title, (titleCounts.get(title) ?? 0) + 1);
  const falseNegatives = all.filter((instance) => {
    const taken = new Set(data.sequences.get(metaOf(instance).userId));
    return instance.candidates.some(({ id }, index) => instance.relevance[index] === 0 && taken.has(id));
  });
  const historyIsTarget = all.map(metaOf).filter((meta) => meta.historyItemIds.includes(meta.targetItemId));
  return describeTask(sides, {
    task,
    source: data.name,
    settings,
    counts: {
      users: data.sequences.size,
      eligibleUsers: eligible,
      items: data.titles.size,
      interactions: data.interactionCount,
    },
    duplicates: {
      repeatedInteractionsDropped: data.repeatedCount,
      titlesOfSeveralItems: [...titleCounts.values()].filter((count) => count > 1).length,
    },
    keys: {
      users: (instance) => metaOf(instance).userId,
      histories: (instance) => metaOf(instance).historyItemIds.join(' '),
      itemSets: itemSetKey,
    },
    checks: {
      instancesWithAFalseNegative: falseNegatives.length,
      instancesWithTargetInHistory: historyIsTarget.length,
    },
    ...(countTokens ? { countTokens } : {}),
  });
}
