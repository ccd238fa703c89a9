/** Where a supervised stage gets its examples: from demonstrations on the training instances, or from a file. */
import * as z from 'zod';
import { readJsonLines } from '../data/index.js';
import { WinnowError } from '../errors.js';
import { CaseSource, canDemonstrate, demonstrationText } from './cases.js';
import type { SftConfig } from './config.js';
import { DataOrder } from './data-order.js';
import type { Demonstrator } from './data-source.js';
import type { ExampleSource } from './sft.js';
import { type CaseContext, sizesOf } from './stage.js';

/** Turns the text of a completion into token ids, the stop token included. */
export type EncodeCompletion = (text: string) => Int32Array;

/** A fresh case at every position, answered by the demonstrator. */
export function demonstrationExamples(
  context: CaseContext,
  config: SftConfig,
  demonstrator: Demonstrator,
  encode: EncodeCompletion,
): ExampleSource {
  const { protocol, instances, sampler } = context;
  if (!canDemonstrate(protocol)) {
    throw new WinnowError('ERR_CONFIG', `protocol ${protocol.name} cannot write completions`, {
      hint: 'give the supervised stage examples: FILE.jsonl',
    });
  }
  const cases = new CaseSource({ ...context, sizes: sizesOf(config, instances), casesPerStep: config.batch });
  return (position) => {
    const { instance, prompt, key } = cases.at(position);
    const text = demonstrationText(protocol, demonstrator(instance, prompt, key), instance, prompt);
    return { prompt: sampler.render(prompt), completion: encode(text) };
  };
}

const kExample = z.strictObject({
  messages: z.array(z.strictObject({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })).min(1),
  prefix: z.string().default(''),
  completion: z.string().min(1),
});

/** The lines of a file, each pass in a new order. Throws ERR_DATA_EXAMPLE with file and line. */
export async function fileExamples(
  context: CaseContext,
  path: string,
  encode: EncodeCompletion,
): Promise<ExampleSource> {
  const examples: z.output<typeof kExample>[] = [];
  for await (const { number, value } of readJsonLines(path)) {
    const parsed = kExample.safeParse(value);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new WinnowError('ERR_DATA_EXAMPLE', `${path}:${number} is not a training example`, {
        expected: '{"messages": [{"role", "content"}], "prefix"?, "completion"}',
        received: `${issue?.path.join('.') || 'value'}: ${issue?.message}`,
      });
    }
    examples.push(parsed.data);
  }
  const order = new DataOrder(examples.length, context.seed, context.stageKey);
  return (position) => {
    const { completion, ...prompt } = examples[order.at(position)] as z.output<typeof kExample>;
    return { prompt: context.sampler.render(prompt), completion: encode(completion) };
  };
}
