import { contextLines, neutralise } from './labels.js';
import type { ExclusionWording } from './wording.js';

const systemText =
  'You are a careful ranker. You first think about the question and then give one answer. ' +
  'Write your thought, close it with </think>, and then write only the label of one candidate inside <answer> and </answer>.';

/** What the candidates and the context are, in words, by the task's name. */
function describeTask(task: string): { readonly context: string; readonly question: string } {
  if (task.startsWith('Rec-') || task === 'synthetic') {
    return {
      context: 'What this user took so far, oldest first:',
      question: 'Which one candidate is the LEAST likely to be what this user takes next?',
    };
  }
  if (task.startsWith('Router-')) {
    return {
      context: 'The request that a language model will answer:',
      question: 'Which one candidate model is the LEAST suitable for this request?',
    };
  }
  return {
    context: 'The query:',
    question: 'Which one candidate is the LEAST relevant to the query?',
  };
}

/** The default: instructions in words, candidates under opaque labels in brackets. For instruction-tuned models. */
export const labelWording: ExclusionWording = {
  name: 'labels',
  labelled: true,
  build(instance, shown) {
    const words = describeTask(instance.task);
    const lines = [
      words.context,
      ...contextLines(instance.context),
      '',
      'Candidates:',
      ...shown.map(({ label, text }) => `[${label}] ${neutralise(text)}`),
      '',
      words.question,
    ];
    return {
      messages: [
        { role: 'system', content: systemText },
        { role: 'user', content: lines.join('\n') },
      ],
      prefix: '<think>',
    };
  },
  complete: (thought, label) => `\n${thought.trim()}\n</think>\n<answer>[${label}]</answer>`,
};

/** A text as the compact wording with phrases writes it: one token of a tokenizer of `buildWordTokenizer`. */
export function writePhrase(text: string): string {
  return ` |${neutralise(text).replaceAll('|', '/')}|`;
}

/**
 * Few tokens, for from-scratch models with a tokenizer of `buildWordTokenizer`: every word has one space before it, so that it
 * is the same token wherever it stands; past items end in ` ;`, candidates follow their label.
 *
 * @param phrases texts are written `|text|`, which that tokenizer keeps as one token each
 */
export function compactWording(phrases: boolean): ExclusionWording {
  const write = (text: string): string => (phrases ? writePhrase(text) : ` ${neutralise(text)}`);
  const ending = phrases ? '' : ' ;';
  return {
    name: phrases ? 'compact-phrases' : 'compact',
    labelled: true,
    build(instance, shown) {
      const past = contextLines(instance.context).map((line) => write(line) + ending);
      const candidates = shown.map(({ label, text }) => ` [${label}]${write(text)}`);
      return {
        messages: [{ role: 'user', content: `${past.join('')}\n${candidates.join('')}\n` }],
        prefix: '<think>',
      };
    },
    complete: (thought, label) => `${thought.trimEnd()}</think><answer> [${label}]</answer>`,
  };
}
