import { WinnowError } from '../errors.js';
import type { Completion } from '../types.js';
import type { ParsedFormat } from './completion-format.js';
import { contextLines, neutralise } from './labels.js';
import type { Wording } from './wording.js';

const systemText =
  'You are RankLLM, an intelligent assistant that can rank passages based on their relevancy to the query';

/** A chain of labels and nothing else; the model was told not to explain. */
function readChain({ text, stop }: Pick<Completion, 'text' | 'stop'>): ParsedFormat {
  const fail = (reason: 'empty' | 'truncated', detail: string): ParsedFormat => ({
    ok: false,
    reason,
    detail,
    format: { think: true, answer: false },
  });
  if (text.trim() === '') return fail('empty', 'the completion has no text');
  if (stop === 'length' || stop === 'context') return fail('truncated', `cut off by ${stop}`);
  return { ok: true, thought: '', answer: text.trim() };
}

/**
 * RankZephyr's listwise prompt (Pradeep et al. 2023, arXiv 2312.02724) as Rank-R1's repository keeps it for a baseline
 * (prompt_listwise_rankzephyr.toml): no thought, the answer is a chain `[2] > [1] > [3]`.
 */
export const rankZephyrWording: Wording = {
  name: 'rankzephyr',
  labelled: true,
  build(instance, shown, ask) {
    if (ask.what !== 'order') {
      throw new WinnowError('ERR_PROTOCOL_OPTION', 'RankZephyr has no words for this question', {
        expected: 'the order of a window',
        received: ask.what,
      });
    }
    const query = contextLines(instance.context).join(' ');
    const docs = shown.map(({ label, text }) => `[${label}] ${neutralise(text)}`).join('\n');
    const content =
      `I will provide you with ${shown.length} passages, each indicated by a numerical identifier []. Rank the passages based ` +
      `on their relevance to the search query: ${query}.\n${docs}\nSearch Query: ${query}.\n` +
      `Rank the ${shown.length} passages above based on their relevance to the search query. All the passages should be ` +
      'included and listed using identifiers, in descending order of relevance. The output format should be [] > [], ' +
      'e.g., [2] > [1], Only respond with the ranking results, do not say any word or explain.';
    return {
      messages: [
        { role: 'system', content: systemText },
        { role: 'user', content },
      ],
      prefix: '',
    };
  },
  complete: (_, labels) => labels.map((label) => `[${label}]`).join(' > '),
  read: readChain,
};
