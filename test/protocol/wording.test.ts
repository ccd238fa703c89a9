/** The questions of the common wordings, for every task and every way to ask. */
import { describe, expect, it } from 'vitest';
import { protocolNamed } from '../../lib/protocol/index.js';
import { firstPrompt, graded } from './support.js';

const userText = (name: string, options: object, change: Parameters<typeof graded>[1] = {}): string =>
  firstPrompt(protocolNamed(name, options), graded([1, 0, 0], change)).messages.at(-1)?.content as string;
const question = (...args: Parameters<typeof userText>): string =>
  userText(...args)
    .split('\n')
    .at(-1) as string;

describe('labels', () => {
  it.each([
    ['exclusion', {}, 'Which one candidate is the LEAST likely to be what this user takes next?'],
    ['exclusion', { direction: 'best' }, 'Which one candidate is the MOST likely to be what this user takes next?'],
    [
      'exclusion',
      { perStep: 2 },
      'Which 2 candidates are the LEAST likely to be what this user takes next? Begin with the worst.',
    ],
    [
      'exclusion',
      { perStep: 2, direction: 'best' },
      'Which 2 candidates are the MOST likely to be what this user takes next? Begin with the best.',
    ],
    ['setwise', {}, 'Which one candidate is the MOST likely to be what this user takes next?'],
    ['direct', {}, 'Rank all 3 candidates, from the MOST to the LEAST likely to be what this user takes next.'],
    [
      'listwise',
      { wording: 'labels' },
      'Rank all 3 candidates, from the MOST to the LEAST likely to be what this user takes next.',
    ],
    ['pointwise', {}, 'Is this candidate likely to be what this user takes next?'],
    [
      'pointwise',
      { score: 'stated' },
      'How likely to be what this user takes next is this candidate, from 0 (not at all) to 10 (entirely)?',
    ],
  ])('%s %j', (name, options, expected) => {
    expect(question(name, options)).toBe(expected);
  });

  it('ask for relevance to a query', () => {
    expect(question('setwise', {}, { task: 'Passage-5' })).toBe(
      'Which one candidate is the MOST relevant to the query?',
    );
  });

  it('say what a routing task weighs, once', () => {
    const tasks = ['Router-Performance', 'Router-Balance', 'Router-Cost'];
    const questions = tasks.map((task) => question('exclusion', {}, { task }));
    expect(new Set(questions).size).toBe(3);
    expect(questions[2]).toBe(
      'Which one candidate model is the LEAST suitable for this request when low cost counts more than quality?',
    );
    const stated = tasks.map((task) => question('exclusion', {}, { task, context: 'Objective: any\nwhat?' }));
    expect(new Set(stated)).toEqual(
      new Set(['Which one candidate model is the LEAST suitable for this request under this objective?']),
    );
  });
});

describe('compact', () => {
  it('is the same text whatever is asked', () => {
    const bare = (name: string, options: object): string =>
      userText(name, { ...options, wording: 'compact' }).replace(/Movie \d/g, 'Movie');
    const exclusion = bare('exclusion', {});
    expect(exclusion).toBe(' Alien ; Blade Runner ;\n [A] Movie [B] Movie [C] Movie\n');
    expect(bare('direct', {})).toBe(exclusion);
    expect(bare('setwise', {})).toBe(exclusion);
    expect(bare('listwise', {})).toBe(exclusion);
  });
});

it('gives the reference the bare query of a routing instance', () => {
  const change = { task: 'Router-Cost', context: 'Objective: low cost\nwhat?', meta: { query: 'what?' } };
  for (const name of ['exclusion', 'direct']) {
    const { prefix } = firstPrompt(protocolNamed(name, { compat: 'r1-ranker' }), graded([1, 0], change));
    expect(prefix).toContain("I've been given the following query:\nwhat?\n\nThe LLM names");
  }
});
