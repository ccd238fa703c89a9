/** TREC topics, in the classical tagged form and as `query id TAB query`. */
import { WinnowError } from '../errors.js';
import { DistinctIds } from './distinct-ids.js';
import { fieldError, type Place, quoted } from './fields.js';
import { readLines } from './lines.js';
import { readTsvQueries } from './ms-marco.js';
import type { TextQuery } from './text-records.js';

const code = 'ERR_DATA_TOPICS';

export interface Topic extends TextQuery {
  /** The title: what TREC calls the query. White space runs are single spaces, here and below. */
  readonly text: string;
  /** '' where the topic has none, as in the tab-separated form. */
  readonly description: string;
  readonly narrative: string;
}

const tag = /<(\/?)(top|num|title|desc|narr)>/gi;
/** The words that TREC puts after its tags. */
const captions: Readonly<Record<string, RegExp>> = {
  num: /^\s*number:\s*/i,
  title: /^\s*topic:\s*/i,
  desc: /^\s*description:\s*/i,
  narr: /^\s*narrative:\s*/i,
};

class OpenTopic {
  readonly #parts = new Map<string, string>();
  readonly place: Place;
  #name: string | undefined;

  constructor(place: Place) {
    this.place = place;
  }

  append(text: string): void {
    if (this.#name !== undefined) this.#parts.set(this.#name, `${this.#parts.get(this.#name) ?? ''}${text} `);
    else if (text.trim() !== '') {
      throw fieldError(this.place, 'topic', 'holds text outside its fields', {
        expected: '<num>, <title>, <desc>, <narr>',
        received: quoted(text),
      });
    }
  }

  open(name: string): void {
    if (this.#parts.has(name)) {
      throw fieldError(this.place, `<${name}>`, 'comes twice in the topic', { expected: 'each field once' });
    }
    this.#name = name;
    this.#parts.set(name, '');
  }

  /** Text after a closing tag must be blank; TREC's own files leave most fields open until the next one. */
  close(): void {
    this.#name = undefined;
  }

  finish(): Topic {
    const part = (name: string): string =>
      (this.#parts.get(name) ?? '')
        .replace(captions[name] as RegExp, '')
        .replace(/\s+/g, ' ')
        .trim();
    for (const [name, field] of [
      ['num', '<num>'],
      ['title', '<title>'],
    ] as const) {
      if (part(name) === '') {
        throw fieldError(this.place, field, 'is missing in the topic', { expected: `${field} with a text` });
      }
    }
    return { id: part('num'), text: part('title'), description: part('desc'), narrative: part('narr') };
  }
}

/** The classical form: `<top> <num> Number: 401 <title> … <desc> Description: … <narr> Narrative: … </top>`, streamed. */
async function* readTaggedTopics(path: string): AsyncGenerator<Topic> {
  const ids = new DistinctIds();
  let topic: OpenTopic | undefined;
  for await (const { number, text } of readLines(path, code)) {
    const place = { code, path, line: number };
    let start = 0;
    const append = (end: number): void => {
      const between = text.slice(start, end);
      if (topic) topic.append(between);
      else if (between.trim() !== '') {
        throw fieldError(place, 'text', 'stands outside <top>', { expected: '<top>', received: quoted(between) });
      }
    };
    for (const match of text.matchAll(tag)) {
      append(match.index);
      start = match.index + match[0].length;
      const name = (match[2] as string).toLowerCase();
      const closes = match[1] === '/';
      if (name === 'top' ? closes === (topic === undefined) : topic === undefined) {
        throw fieldError(place, match[0], 'stands in the wrong place', { expected: topic ? '</top>' : '<top>' });
      }
      if (name !== 'top') closes ? topic?.close() : topic?.open(name);
      else if (closes && topic) {
        const finished = topic.finish();
        ids.expectNew(finished.id, topic.place, '<num>');
        topic = undefined;
        yield finished;
      } else topic = new OpenTopic(place);
    }
    append(text.length);
  }
  if (topic) throw fieldError(topic.place, '<top>', 'has no end', { expected: '</top>' });
}

async function isTagged(path: string): Promise<boolean> {
  for await (const { text } of readLines(path, code)) if (text.trim() !== '') return text.trimStart().startsWith('<');
  throw new WinnowError(code, `${path} holds no topics`, { expected: 'at least one topic' });
}

/**
 * The topics of a TREC track, streamed: the classical tagged form when the file begins with `<`, else `query id TAB query`.
 *
 * @param path a file; it is opened twice
 * @throws WinnowError ERR_DATA_TOPICS, ERR_DATA_COLLECTION with file, line and field
 */
export async function* readTopics(path: string): AsyncGenerator<Topic> {
  if (await isTagged(path)) yield* readTaggedTopics(path);
  else for await (const { id, text } of readTsvQueries(path)) yield { id, text, description: '', narrative: '' };
}
