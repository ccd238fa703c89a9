/**
 * The prompts of Rank-R1 (Zhuang et al. 2025, arXiv 2503.06034) and the pattern by which it reads answers, byte for byte as in
 * ielab/llm-rankers, Rank-R1/prompts/*.toml at b36517b.
 */
import { WinnowError } from '../errors.js';
import type { Completion } from '../types.js';
import type { ParsedFormat } from './completion-format.js';
import { contextLines, neutralise } from './labels.js';
import type { Wording } from './wording.js';

/** What stands before a document: `[1] ` as in the training data of v0.1, or `[1]: ` as in the prompt file of v0.2. */
export type DocumentPrefix = 'plain' | 'colon';

interface PromptFile {
  readonly system: string;
  /** Before the query, between query and documents, after the documents. */
  readonly user: readonly [string, string, string];
  readonly separator: string;
  readonly prefix: DocumentPrefix;
  /** Without the s flag of JavaScript `.` would stop at line breaks, which upstream's re.DOTALL does not. */
  readonly pattern: RegExp;
  readonly thinks: boolean;
  readonly tail: string;
}

const thinkThenAnswer = /<think>.*?<\/think>\s*<answer>(.*?)<\/answer>/s;

const v1: PromptFile = {
  system:
    'A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant first thinks ' +
    'about the reasoning process in the mind and then provides the user with the answer. The reasoning process and answer are ' +
    'enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., <think> reasoning process here </think> ' +
    '<answer> answer here </answer>.',
  user: [
    'Given the query: "',
    '", which of the following documents is most relevant?\n',
    '\nAfter completing the reasoning process, please provide only the label of the most relevant document to the query, enclosed ' +
      'in square brackets, within the answer tags. For example, if the third document is the most relevant, the answer should be: ' +
      '<think> reasoning process here </think> <answer>[3]</answer>.',
  ],
  separator: '\n',
  prefix: 'plain',
  pattern: thinkThenAnswer,
  thinks: true,
  tail: ' ',
};

const sft: PromptFile = {
  system:
    'A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant provides the ' +
    'user with the answer enclosed within <answer> </answer> tags, i.e., <answer> answer here </answer>.',
  user: [
    v1.user[0],
    v1.user[1],
    '\nPlease provide only the label of the most relevant document to the query, enclosed in square brackets, within the answer ' +
      'tags. For example, if the third document is the most relevant, the answer should be: <answer>[3]</answer>.',
  ],
  separator: '\n',
  prefix: 'plain',
  pattern: /<answer>(.*?)<\/answer>/s,
  thinks: false,
  tail: '',
};

const v2: PromptFile = {
  system: 'You are RankLLM, an intelligent assistant capable of evaluating the relevancy of passages to a given query.',
  user: [
    'You will be presented with a query, and a set of documents.\n\nYour task consists of the following step:\n\n' +
      '1. Analyze the query: Carefully read the query and identify the core problem or question being asked.\n\n' +
      '2. Analyze the documents: Thoroughly examine each document and briefly explain how each document is relevant or not ' +
      'relevant to the query.\n\n' +
      '3. Find the most relevant document: Based on your analysis, select the most relevant document to the query from the set ' +
      'and briefly explain why.\n\n' +
      'Important: Provide your analysis within the <think> </think> tags and answer only the label of the most relevant ' +
      'document, enclosed in square brackets, within the <answer> </answer> tags. For example, if the third document is the most ' +
      'relevant, your response should be:\n<think> Your analysis here </think>\n<answer>[3]</answer>\n\nHere is the query: ',
    '\n\nHere are the documents:\n',
    '',
  ],
  separator: '\n\n',
  prefix: 'colon',
  pattern: thinkThenAnswer,
  thinks: true,
  tail: '\n',
};

const files = { 'rank-r1': v1, 'rank-r1-sft': sft, 'rank-r1-v0.2': v2 } as const;

/** `rank-r1`: v0.1. `rank-r1-sft`: its supervised, non-reasoning twin. `rank-r1-v0.2`. */
export type RankR1Wording = keyof typeof files;

export const rankR1Wordings = Object.keys(files) as RankR1Wording[];

/** By upstream's pattern: found anywhere, the first match counts, text around it is tolerated. */
function readWith({ pattern, thinks }: PromptFile, { text, stop }: Pick<Completion, 'text' | 'stop'>): ParsedFormat {
  const match = pattern.exec(text);
  if (match) {
    const thought = /<think>(.*?)<\/think>/s.exec(match[0])?.[1] ?? '';
    return { ok: true, thought: thought.trim(), answer: (match[1] as string).trim() };
  }
  const think = !thinks || /<think>.*?<\/think>/s.test(text);
  const answer = /<answer>.*?<\/answer>/s.test(text);
  const fail = (reason: 'empty' | 'truncated' | 'no_think' | 'no_answer', detail: string): ParsedFormat => ({
    ok: false,
    reason,
    detail,
    format: { think, answer },
  });
  if (text.trim() === '') return fail('empty', 'the completion has no text');
  if (stop === 'length' || stop === 'context') return fail('truncated', `cut off after ${text.length} characters`);
  if (!think) return fail('no_think', 'no <think>...</think>');
  return fail('no_answer', 'no <answer>...</answer> right after the thought');
}

/** @param prefix default: that of the version */
export function rankR1Wording(version: RankR1Wording, prefix?: DocumentPrefix): Wording {
  const file = files[version];
  const mark = (prefix ?? file.prefix) === 'colon' ? ']: ' : '] ';
  return {
    name: version,
    labelled: true,
    build(instance, shown, ask) {
      if (ask.what !== 'best' || ask.count !== 1) {
        throw new WinnowError('ERR_PROTOCOL_OPTION', 'Rank-R1 has no words for this question', {
          expected: 'the best one of a set',
          received: ask.what,
        });
      }
      const docs = shown.map(({ label, text }) => `[${label}${mark}${neutralise(text)}`).join(file.separator);
      const [opening, middle, closing] = file.user;
      const query = contextLines(instance.context).join(' ');
      return {
        messages: [
          { role: 'system', content: file.system },
          { role: 'user', content: `${opening}${query}${middle}${docs}${closing}` },
        ],
        prefix: '',
      };
    },
    complete: (thought, labels) =>
      `${file.thinks ? `<think> ${thought.trim()} </think>${file.tail}` : ''}<answer>[${labels.join('], [')}]</answer>`,
    read: (completion) => readWith(file, completion),
  };
}
