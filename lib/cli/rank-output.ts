/** What `winnow rank` writes: the reranked run, query by query, and a log of the calls; both can be continued after a kill. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { writeFileAtomic } from '../data/atomic-file.js';
import { fieldError, type Place, quoted, splitAtSpace } from '../data/fields.js';
import { KeyedLines, type KeyedText } from '../data/keyed-lines.js';
import { formatRunLines } from '../data/trec-run-writer.js';
import { WinnowError } from '../errors.js';
import type { RunOrder } from './rank-input.js';

export interface RankOutputOptions {
  readonly output: string;
  readonly log?: string;
  readonly resume: boolean;
  readonly tag: string;
  /** Everything that decides what is written; kept beside the output, and compared when it is continued. */
  readonly settings: Readonly<Record<string, unknown>>;
}

const settingsPath = (output: string): string => `${output}.settings.json`;

function requireSameSettings(output: string, settings: RankOutputOptions['settings']): void {
  const path = settingsPath(output);
  if (!existsSync(path)) {
    throw new WinnowError('ERR_RESUME_CONFIG', `${output} cannot be continued`, {
      expected: `${path}, which tells how it was made`,
      received: 'nothing',
      hint: 'choose another --output',
    });
  }
  const before = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  const now = JSON.parse(JSON.stringify(settings)) as Record<string, unknown>;
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const [expected, received] = [before, now].map((one) => JSON.stringify(one[key]) ?? 'nothing') as [string, string];
    if (expected !== received) {
      throw new WinnowError('ERR_RESUME_CONFIG', `setting ${key} is not the one that ${output} began with`, {
        expected,
        received,
        hint: 'resume with the same settings, or choose another --output',
      });
    }
  }
}

/** An empty file holds nothing to lose: it is what an attempt with wrong inputs leaves. */
function requireNew(path: string): void {
  if (!existsSync(path) || statSync(path).size === 0) return;
  throw new WinnowError('ERR_OUTPUT_EXISTS', `${path} is there already`, {
    expected: 'a new file',
    hint: 'continue it with --resume, or choose another',
  });
}

/** The queries of a run that was being written, and whether the last of them was torn. */
async function finishedQueries(run: KeyedLines, order: RunOrder): Promise<string[]> {
  const keys = run.keys();
  const finished = keys.filter((id) => run.lineCount(id) === order.get(id)?.length);
  const wrong = keys.find((id, index) => !order.has(id) || (finished[index] !== id && index < keys.length - 1));
  if (wrong !== undefined) {
    throw new WinnowError('ERR_OUTPUT', `${run.path} cannot be continued`, {
      expected: 'the queries of the run, each with all its documents',
      received: `query ${wrong} with ${run.lineCount(wrong)} documents instead of ${order.get(wrong)?.length ?? 'none'}`,
      hint: 'choose another --output',
    });
  }
  return finished;
}

function runKey(text: string): string {
  return splitAtSpace(text)[0] ?? '';
}

function logKey(text: string, place: Place): string {
  const found = text.match(/^\{"queryId":("(?:[^"\\]|\\.)*"),/)?.[1];
  if (found !== undefined) return JSON.parse(found) as string;
  throw fieldError(place, 'queryId', 'is missing', {
    expected: 'a line that this command logged',
    received: quoted(text),
  });
}

export class RankOutput {
  /** Queries that were finished before. */
  readonly done: ReadonlySet<string>;
  readonly #order: RunOrder;
  readonly #tag: string;
  readonly #run: KeyedLines;
  readonly #log: KeyedLines | undefined;

  private constructor(
    files: { run: KeyedLines; log: KeyedLines | undefined },
    done: readonly string[],
    order: RunOrder,
    tag: string,
  ) {
    this.#run = files.run;
    this.#log = files.log;
    this.done = new Set(done);
    this.#order = order;
    this.#tag = tag;
  }

  /** @throws WinnowError ERR_OUTPUT_EXISTS, ERR_RESUME_CONFIG, ERR_OUTPUT, ERR_FILE_WRITE */
  static async open(order: RunOrder, options: RankOutputOptions): Promise<RankOutput> {
    const { output, log: logPath, resume, settings, tag } = options;
    if (resume && existsSync(output)) requireSameSettings(output, settings);
    else {
      for (const path of logPath === undefined ? [output] : [output, logPath]) requireNew(path);
      await writeFileAtomic(settingsPath(output), `${JSON.stringify(settings, undefined, 1)}\n`);
    }
    const run = await KeyedLines.open(output, runKey);
    let log: KeyedLines | undefined;
    try {
      const done = await finishedQueries(run, order);
      if (done.length < run.keys().length) await run.rewrite(done);
      if (logPath !== undefined) {
        log = await KeyedLines.open(logPath, logKey);
        // The calls of queries that were not finished: they are asked again.
        if (log.keys().some((id) => !done.includes(id))) await log.rewrite(done);
      }
      return new RankOutput({ run, log }, done, order, tag);
    } catch (cause) {
      await Promise.all([run.close(), log?.close()]);
      throw cause;
    }
  }

  get logs(): boolean {
    return this.#log !== undefined;
  }

  /**
   * Logs the calls of a round, before the queries that it finished are written: no finished query lacks its calls. What the rounds
   * before it wrote is on the disk when this returns.
   */
  async endRound(calls: readonly KeyedText[]): Promise<void> {
    await this.#log?.append(calls);
    await this.#log?.flush();
    await this.#run.flush();
  }

  async write(queryId: string, documentIds: readonly string[]): Promise<void> {
    const text = formatRunLines({ queryId, documentIds }, this.#tag);
    await this.#run.append([{ key: queryId, text }]);
  }

  /** Puts both files in the order of the run that was ranked. */
  async finish(): Promise<void> {
    const order = [...this.#order.keys()];
    await this.#log?.rewrite(order);
    await this.#run.rewrite(order);
  }

  async close(): Promise<void> {
    await Promise.all([this.#run.close(), this.#log?.close()]);
  }
}
