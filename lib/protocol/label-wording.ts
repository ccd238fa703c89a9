import type { RankingInstance } from '../types.js';
import { contextLines, neutralise } from './labels.js';
import type { Ask, Wording } from './wording.js';

const systemOpening = 'You are a careful ranker. You first think about the question and then give one answer. ';

function systemText(ask: Ask): string {
  let answer = 'write only the label of one candidate inside <answer> and </answer>.';
  if (ask.what === 'order') {
    answer = 'write the labels of all candidates, best first, separated by commas, inside <answer> and </answer>.';
  } else if (ask.count > 1) {
    answer = `write only the labels of ${ask.count} candidates, separated by commas, inside <answer> and </answer>.`;
  }
  return `${systemOpening}Write your thought, close it with </think>, and then ${answer}`;
}

/** What each routing task weighs, unless the context says it: else they would share one prompt with different right answers. */
const routerObjectives: Readonly<Record<string, string>> = {
  'Router-Performance': ' when only the quality of the answer counts',
  'Router-Balance': ' when quality and low cost count the same',
  'Router-Cost': ' when low cost counts more than quality',
};

interface TaskWords {
  readonly context: string;
  readonly noun: string;
  /** What comes after MOST or LEAST. */
  readonly property: string;
}

/** What the candidates and the context are, in words, by the task's name. */
export function describeTask({ task, context }: Pick<RankingInstance, 'task' | 'context'>): TaskWords {
  if (task.startsWith('Rec-') || task === 'synthetic') {
    return {
      context: 'What this user took so far, oldest first:',
      noun: 'candidate',
      property: 'likely to be what this user takes next',
    };
  }
  if (task.startsWith('Router-')) {
    const objective = context.startsWith('Objective:') ? ' under this objective' : (routerObjectives[task] ?? '');
    return {
      context: 'The request that a language model will answer:',
      noun: 'candidate model',
      property: `suitable for this request${objective}`,
    };
  }
  return { context: 'The query:', noun: 'candidate', property: 'relevant to the query' };
}

function question({ noun, property }: TaskWords, ask: Ask, shown: number): string {
  if (ask.what === 'order') return `Rank all ${shown} ${noun}s, from the MOST to the LEAST ${property}.`;
  const extreme = ask.what === 'worst' ? 'LEAST' : 'MOST';
  if (ask.count === 1) return `Which one ${noun} is the ${extreme} ${property}?`;
  return `Which ${ask.count} ${noun}s are the ${extreme} ${property}? Begin with the ${ask.what}.`;
}

/** The default: instructions in words, candidates under opaque labels in brackets. For instruction-tuned models. */
export const labelWording: Wording = {
  name: 'labels',
  labelled: true,
  build(instance, shown, ask) {
    const words = describeTask(instance);
    const lines = [
      words.context,
      ...contextLines(instance.context),
      '',
      'Candidates:',
      ...shown.map(({ label, text }) => `[${label}] ${neutralise(text)}`),
      '',
      question(words, ask, shown.length),
    ];
    return {
      messages: [
        { role: 'system', content: systemText(ask) },
        { role: 'user', content: lines.join('\n') },
      ],
      prefix: '<think>',
    };
  },
  complete: (thought, labels) =>
    `\n${thought.trim()}\n</think>\n<answer>${labels.map((label) => `[${label}]`).join(', ')}</answer>`,
};

/** A text as the compact wording with phrases writes it: one token of a tokenizer of `buildWordTokenizer`. */
export function writePhrase(text: string): string {
  return ` |${neutralise(text).replaceAll('|', '/')}|`;
}

/** Which texts are written `|text|`, one token of a tokenizer of `buildWordTokenizer` each: none, the candidates', or all. */
export type CompactName = 'compact' | 'compact-names' | 'compact-phrases';

/** How the compact wordings write a line of the context, and a candidate. */
export function compactWriters(name: CompactName): Record<'contextLine' | 'candidate', (text: string) => string> {
  const inWords = (text: string): string => ` ${neutralise(text)}`;
  return {
    contextLine: name === 'compact-phrases' ? writePhrase : (text) => `${inWords(text)} ;`,
    candidate: name === 'compact' ? inWords : writePhrase,
  };
}

/**
 * Few tokens, for from-scratch models with a tokenizer of `buildWordTokenizer`: every word has one space before it, so that it
 * is the same token wherever it stands; past items end in ` ;`, candidates follow their label. It says nothing of what is
 * asked: such a model knows one question, the one that it is trained on.
 */
export function compactWording(name: CompactName): Wording {
  const { contextLine, candidate } = compactWriters(name);
  return {
    name,
    labelled: true,
    build(instance, shown) {
      const past = contextLines(instance.context).map(contextLine);
      const candidates = shown.map(({ label, text }) => ` [${label}]${candidate(text)}`);
      return {
        messages: [{ role: 'user', content: `${past.join('')}\n${candidates.join('')}\n` }],
        prefix: '<think>',
      };
    },
    complete: (thought, labels) =>
      `${thought.trimEnd()}</think><answer>${labels.map((label) => ` [${label}]`).join('')}</answer>`,
  };
}
