import { WinnowError } from '../errors.js';
import type { RankingInstance } from '../types.js';
import { contextLines, neutralise, routedQuery } from './labels.js';
import { indexedList, pythonList } from './python-list.js';
import { r1OrderProblem } from './r1-order-wording.js';
import type { Ask, ShownCandidate, Wording } from './wording.js';

/**
 * The prompts of R1-Ranker, whose released models expect them. The reference words a task differently in training and in
 * evaluation; one variant is chosen here and then used for both.
 *
 * - `evaluation`: the current number of candidates, names as a plain list, "items ... purchased" for music and games.
 * - `training`: names carry the index of the full list, the words "20 ... movies" are constant, whatever the case holds.
 */
export type R1Variant = 'evaluation' | 'training';

export type ProblemBuilder = (
  instance: RankingInstance,
  shown: readonly ShownCandidate[],
  variant: R1Variant,
) => string;

const recommendation: ProblemBuilder = (instance, shown, variant) => {
  const past = contextLines(instance.context);
  const training = variant === 'training';
  const movies = training || instance.task === 'Rec-Movie';
  const history = indexedList(past.map((text, index) => [index, text] as const));
  const candidates = training
    ? indexedList(shown.map(({ index, label }) => [index, label] as const))
    : pythonList(shown.map(({ label }) => label));
  const things = movies ? 'movies' : 'items';
  const thing = movies ? 'movie' : 'item';
  return (
    `I've ${movies ? 'watched' : 'purchased'} the following ${things} in the past, in order:\n${history}\n\n` +
    `Now there are ${training ? 20 : shown.length} candidate ${things} that I might ${movies ? 'watch' : 'purchase'} next:\n` +
    `${candidates}\n\n` +
    `Please select the one ${thing} that is least likely to be my next ${movies ? 'watch' : 'purchase'}, ` +
    `according to my ${movies ? 'watching' : 'purchase'} history. Please think step by step.\n` +
    `You MUST choose exactly one ${thing} from the given candidate list.\n` +
    `You can NOT generate or reference ${things} that are not in the given candidate list.\n` +
    `Return only the full name of the ${thing}.`
  );
};

/** What "least" means in each of the three routing scenarios; without it they would share one prompt with different labels. */
const routerObjectives: Readonly<Record<string, readonly [string, string]>> = {
  'Router-Performance': [
    'PERFORMANCE-EFFICIENT',
    'prioritizing performance and quality while still being cost-conscious',
  ],
  'Router-Balance': ['BALANCED', 'considering both the query requirements and cost efficiency'],
  'Router-Cost': ['COST-EFFICIENT', 'prioritizing cost efficiency while still meeting the minimum requirements'],
};

// The reference's training text for routing names no objective, so its three scenarios contradict each other; only the
// evaluation text, which names one, is offered.
const router: ProblemBuilder = (instance, shown) => {
  const objective = routerObjectives[instance.task];
  if (!objective) {
    throw new WinnowError('ERR_PROTOCOL_TASK', 'R1-Ranker has no wording for this task', {
      expected: Object.keys(routerObjectives).join(', '),
      received: instance.task,
    });
  }
  const descriptions = (instance.meta?.descriptions ?? {}) as Readonly<Record<string, string>>;
  const described = shown.map(({ id, label }) => {
    const description = descriptions[id];
    return description === undefined ? `# ${label}` : `# ${label}: ${neutralise(description)}`;
  });
  return (
    `I've been given the following query:\n${routedQuery(instance)}\n\n` +
    `The LLM names and their descriptions are:\n${described.join('\n')}\n\n` +
    `Now there are ${shown.length} candidate LLMs that could handle this query:\n` +
    `${pythonList(shown.map(({ label }) => label))}\n\n` +
    `Please select the one LLM that is least ${objective[0]} for this query, ${objective[1]}. ` +
    'Please think step by step.\n' +
    'You MUST choose exactly one LLM from the given candidate list.\n' +
    'You can NOT generate or reference LLMs that are not in the given candidate list.\n' +
    'Return only the full name of the LLM.'
  );
};

const passage: ProblemBuilder = (instance, shown, variant) => {
  const training = variant === 'training';
  const query = contextLines(instance.context).join(' ');
  const lines = shown.map(({ label, text }) => `${label}: ${neutralise(text)}`).join('\n');
  const head = training
    ? `## Here is a query: ${query} and candidate passages:\n${lines}\n\n`
    : `Here is a query: ${query}.\nAnd here are the candidate passages:\n${lines}\n\n`;
  return (
    `${head}Please think step by step according to the content of each passage and how well it supports or relates to the ` +
    'query. Select the least likely passage from the candidate list. Only return the passage ID corresponding to the excluded ' +
    `passage (e.g., "passage ${training ? '3' : 'x'}"). You MUST choose one passage from the candidate list. ` +
    'You can not generate content that is not in the given candidate list.'
  );
};

function problemOf(task: string): ProblemBuilder {
  if (task.startsWith('Rec-')) return recommendation;
  if (task.startsWith('Router-')) return router;
  if (task.startsWith('Passage-')) return passage;
  return unknownTask(task);
}

function unknownTask(task: string): never {
  throw new WinnowError('ERR_PROTOCOL_TASK', 'R1-Ranker has no wording for this task', {
    expected: 'Rec-*, Router-* or Passage-*',
    received: task,
    hint: 'leave out compat to use labels, which fit any task',
  });
}

/** `Title (1)` and `Title (2)` where two candidates share a name: every name shown names one candidate. */
function distinctNames(texts: readonly string[]): string[] {
  const used = new Set(texts);
  const seen = new Map<string, number>();
  const repeated = new Set(texts.filter((text, index) => texts.indexOf(text) !== index));
  return texts.map((text) => {
    if (!repeated.has(text)) return text;
    let number = seen.get(text) ?? 0;
    let name: string;
    do {
      number++;
      name = `${text} (${number})`;
    } while (used.has(name));
    seen.set(text, number);
    used.add(name);
    return name;
  });
}

/** The system sentence; training data and passage evaluation say "thinks", the other evaluations say "think". */
function systemText(task: string, variant: R1Variant): string {
  const verb = variant === 'training' || task.startsWith('Passage-') ? 'thinks' : 'think';
  return (
    `You are a helpful assistant. You first ${verb} about the reasoning process in the mind and then provides the user ` +
    'with the answer.'
  );
}

function problemFor(ask: Ask, task: string): ProblemBuilder {
  if (ask.what === 'order') return r1OrderProblem(task) ?? unknownTask(task);
  if (ask.what === 'worst' && ask.count === 1) return problemOf(task);
  throw new WinnowError('ERR_PROTOCOL_OPTION', 'R1-Ranker has no words for this question', {
    expected: 'one exclusion a step, or the whole order',
    received: `the ${ask.what} ${ask.count}`,
    hint: 'leave out compat to use labels, which fit any question',
  });
}

/** The reference's ChatML text, whole: it is written by hand there and not by the tokenizer's template. */
export function r1Wording(variant: R1Variant): Wording {
  return {
    name: `r1-ranker-${variant}`,
    labelled: false,
    names(instance) {
      if (instance.task.startsWith('Passage-')) return instance.candidates.map((_, index) => `passage ${index}`);
      // An answer without a name names nothing, so a candidate must have one.
      // A routing candidate's text may go on to describe the model; its name alone is then noted beside it.
      const names = (instance.meta?.names ?? {}) as Readonly<Record<string, string>>;
      return distinctNames(instance.candidates.map(({ id, text }) => neutralise(names[id] ?? text) || 'untitled'));
    },
    build(instance, shown, ask) {
      const problem = problemFor(ask, instance.task)(instance, shown, variant);
      const prefix =
        `<|im_start|>system\n${systemText(instance.task, variant)}<|im_end|>\n` +
        `<|im_start|>user\n ${problem} Show your work in <think> </think> tags. ` +
        'And return the final answer in <answer> </answer> tags.<|im_end|>\n' +
        '<|im_start|>assistant\nLet me solve this step by step.\n<think>';
      return { messages: [], prefix };
    },
    complete: (thought, labels) => `\n${thought.trim()}\n</think>\n<answer>${labels.join('\n')}</answer>`,
  };
}
