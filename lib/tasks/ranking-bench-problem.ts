/** What the prompt texts of Ranking-bench hold besides the candidates: history, query, passages, descriptions. */
import { parsePythonStrings } from '../data/python-literal.js';

/** The text after the first `from` and before the last `to` behind it; undefined when one of them is missing. */
function between(text: string, from: string, to: string): string | undefined {
  const start = text.indexOf(from);
  if (start === -1) return undefined;
  const end = text.lastIndexOf(to);
  return end < start + from.length ? undefined : text.slice(start + from.length, end).trim();
}

/**
 * The items of a list that the data set's scripts write by hand, `['0. a', '1. b's']`: single quotes, an index from 0 before each,
 * nothing escaped, so only the sequence of the indices tells where an item ends.
 */
function indexedItems(text: string): string[] | undefined {
  if (!text.startsWith("['0. ") || !text.endsWith("']")) return undefined;
  const items: string[] = [];
  let rest = text.slice("['0. ".length, -"']".length);
  for (let next = 1; ; next++) {
    const separator = `', '${next}. `;
    const at = rest.indexOf(separator);
    if (at === -1) break;
    items.push(rest.slice(0, at));
    rest = rest.slice(at + separator.length);
  }
  return [...items, rest];
}

/** Past items, one a line; the text of the list itself where it has no form that is known. */
export function historyOfProblem(problem: string): string | undefined {
  const list = between(problem, 'in order:', 'Now there are');
  if (list === undefined) return undefined;
  return (indexedItems(list) ?? parsePythonStrings(list) ?? [list]).join('\n');
}

export interface RouterProblem {
  readonly query: string;
  /** By model name. */
  readonly descriptions: Readonly<Record<string, string>>;
}

/** `## Here is a query: QUERY and LLM condidates: [...]` behind lines `# name: description` (spelt so there). */
export function routerProblem(problem: string, models: readonly string[]): RouterProblem | undefined {
  const query = between(problem, 'Here is a query:', 'and LLM condidates:');
  if (query === undefined) return undefined;
  const head = problem.slice(0, problem.indexOf('Here is a query:'));
  const descriptions = models.flatMap((model): [string, string][] => {
    const line = head.split('\n').find((text) => text.startsWith(`# ${model}:`));
    return line === undefined ? [] : [[model, line.slice(`# ${model}:`.length).trim()]];
  });
  return { query, descriptions: Object.fromEntries(descriptions) };
}

export interface PassageProblem {
  readonly query: string;
  /** By id, `passage 3`, in the order of the text. */
  readonly passages: ReadonlyMap<string, string>;
}

/**
 * `Here is a query: QUERY and candidate passages:` and then `passage k: text`, which may have several lines: a line begins another
 * passage only when its id is one of `ids` that has not come yet.
 *
 * @param ids undefined: any id that has not come yet
 */
export function passageProblem(problem: string, ids: ReadonlySet<string> | undefined): PassageProblem | undefined {
  const query = between(problem, 'Here is a query:', 'and candidate passages:');
  const block = between(problem, 'and candidate passages:', 'Please think step by step');
  if (query === undefined || block === undefined) return undefined;
  const passages = new Map<string, string[]>();
  let current: string[] | undefined;
  for (const line of block.split('\n')) {
    const [, id, text] = /^(passage \d+): ?(.*)$/s.exec(line) ?? [];
    if (id !== undefined && text !== undefined && !passages.has(id) && (ids?.has(id) ?? true)) {
      current = [text];
      passages.set(id, current);
    } else {
      current?.push(line);
    }
  }
  return { query, passages: new Map([...passages].map(([id, lines]) => [id, lines.join('\n').trim()])) };
}
