/**
 * The questions of R1-Ranker's direct ranker (DRanker). Only the passage text was published, up to its last sentence; those for
 * recommendation and routing follow the project that its prompts come from (LLMRank), with the sentences of the exclusion prompts.
 */
import type { RankingInstance } from '../types.js';
import { contextLines, neutralise, routedQuery } from './labels.js';
import { indexedList, pythonList } from './python-list.js';
import type { ShownCandidate } from './wording.js';

type OrderProblem = (instance: RankingInstance, shown: readonly ShownCandidate[]) => string;

const recommendation: OrderProblem = (instance, shown) => {
  const movies = instance.task === 'Rec-Movie';
  const things = movies ? 'movies' : 'items';
  const past = contextLines(instance.context).map((text, index) => [index, text] as const);
  return (
    `I've ${movies ? 'watched' : 'purchased'} the following ${things} in the past, in order:\n${indexedList(past)}\n\n` +
    `Now there are ${shown.length} candidate ${things} that I might ${movies ? 'watch' : 'purchase'} next:\n` +
    `${pythonList(shown.map(({ label }) => label))}\n\n` +
    `Please rank these ${shown.length} ${things} by measuring the possibilities that I would like to ` +
    `${movies ? 'watch' : 'purchase'} next most, according to my ${movies ? 'watching' : 'purchase'} history. ` +
    'Please think step by step.\n' +
    'Split your output with line break. ' +
    `You MUST rank the given candidate ${things}. ` +
    `You can NOT generate or reference ${things} that are not in the given candidate list.`
  );
};

const objectives: Readonly<Record<string, string>> = {
  'Router-Performance': 'PERFORMANCE-EFFICIENT',
  'Router-Balance': 'BALANCED',
  'Router-Cost': 'COST-EFFICIENT',
};

const router: OrderProblem = (instance, shown) => {
  const descriptions = (instance.meta?.descriptions ?? {}) as Readonly<Record<string, string>>;
  const described = shown.map(({ id, label }) =>
    descriptions[id] === undefined ? `# ${label}` : `# ${label}: ${neutralise(descriptions[id])}`,
  );
  return (
    `I've been given the following query:\n${routedQuery(instance)}\n\n` +
    `The LLM names and their descriptions are:\n${described.join('\n')}\n\n` +
    `Now there are ${shown.length} candidate LLMs that could handle this query:\n` +
    `${pythonList(shown.map(({ label }) => label))}\n\n` +
    `Please rank these ${shown.length} LLMs from the most to the least ${objectives[instance.task]} for this query. ` +
    'Please think step by step.\n' +
    'Split your output with line break. You MUST rank the given candidate LLMs. ' +
    'You can NOT generate or reference LLMs that are not in the given candidate list.'
  );
};

const passage: OrderProblem = (instance, shown) => {
  const lines = shown.map(({ label, text }) => `${label}: ${neutralise(text)}`).join('\n');
  return (
    `## Here is a query: ${contextLines(instance.context).join(' ')} and candidate passages:\n${lines}\n\n` +
    'Please think step by step according to the content of each passage and how well it supports or relates to the query. ' +
    'Rank all passages from most relevant to least relevant. Return the passage IDs in order, one per line (e.g.,\n' +
    'passage 1\npassage 3\npassage 2). You MUST rank all passages from the candidate list. ' +
    'You can not generate content that is not in the given candidate list.'
  );
};

/** Undefined for tasks that the reference does not have. */
export function r1OrderProblem(task: string): OrderProblem | undefined {
  if (task.startsWith('Rec-')) return recommendation;
  if (objectives[task] !== undefined) return router;
  return task.startsWith('Passage-') ? passage : undefined;
}
