/** Which thoughts of a step are kept for IRanker-COT (`keepThoughts`). They go to thoughts.jsonl, which `ThoughtStore.load` reads. */
import { type Thought, thoughtOf } from '../protocol/index.js';
import type { PromptCase } from './cases.js';
import type { GrpoConfig } from './config.js';
import type { Judged } from './judge.js';

/** The best rewarded ones of each case, different from each other; `judged` is group-major. */
export function keptThoughts(
  { keepThoughts, group }: Pick<GrpoConfig, 'keepThoughts' | 'group'>,
  cases: readonly PromptCase[],
  judged: readonly Judged[],
): Thought[] {
  if (keepThoughts === undefined) return [];
  const { minimumReward, perCase } = keepThoughts;
  return cases.flatMap(({ instance, prompt }, index) => {
    const thoughts = judged.slice(index * group, (index + 1) * group).flatMap(({ answer, reward }) => {
      const thought = thoughtOf(instance, prompt, answer, reward);
      return thought !== undefined && thought.reward > minimumReward ? [thought] : [];
    });
    const different = new Map(thoughts.map((thought) => [thought.thought, thought]));
    return [...different.values()].sort((a, b) => b.reward - a.reward).slice(0, perCase);
  });
}
