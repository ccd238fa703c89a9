/** Cases at the questions that the current policy comes to by itself (`states: policy`), in place of random subsets. */
import { reachPrompts } from '../protocol/index.js';
import { RandomStream, stableKey } from '../random.js';
import type { Completion } from '../types.js';
import { type PromptCase, sizesAt } from './cases.js';
import type { GrpoConfig } from './config.js';
import { type StageContext, type StepRequest, sizesOf } from './stage.js';

/** The same instances and keys with other prompts. What is drawn depends on (seed, stage, case) and the weights alone. */
export async function policyCases(
  context: StageContext,
  config: Pick<GrpoConfig, 'sizes' | 'maxTokens' | 'temperature' | 'topK' | 'topP' | 'minP'>,
  cases: readonly PromptCase[],
  { stageStep, signal }: StepRequest,
): Promise<PromptCase[]> {
  const whole = sizesOf(config, context.instances);
  const sizes = sizesAt(config.sizes ?? { ...whole, minimum: 2 }, stageStep);
  const requests = cases.map(({ instance, key }) => {
    const random = new RandomStream(key, 'policy-case-size');
    return { instance, key, size: sizes.minimum + random.integer(sizes.maximum - sizes.minimum + 1) };
  });
  const { maxTokens, temperature, topK, topP, minP } = config;
  const seed = stableKey('policy-states', context.seed, context.stageKey);
  const prompts = await reachPrompts(context.protocol, requests, async (asked, { promptKeys }) => {
    const sampling = { maxTokens, temperature, topK, topP, minP, n: 1, seed, promptKeys };
    const groups = await context.sampler.complete(asked, sampling, { signal });
    return groups.map(([completion]) => completion as Completion);
  });
  return cases.map((promptCase, index) => ({ ...promptCase, prompt: prompts[index] as PromptCase['prompt'] }));
}
