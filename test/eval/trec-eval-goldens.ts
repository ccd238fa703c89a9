/** Reading what scripts/make-trec-eval-goldens.mjs left. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Qrels, Run } from '../../lib/data/index.js';
import { formatTrecEval, measureRun, type RunMeasureOptions, type TrecEvalVersion } from '../../lib/eval/index.js';

export const fixtures = fileURLToPath(new URL('../fixtures/trec-eval/', import.meta.url));

export interface Golden {
  readonly data: string;
  readonly version: TrecEvalVersion;
  /** Of trec_eval. */
  readonly arguments: readonly string[];
  readonly output: string;
}

export function readGoldens(name: string): Golden[] {
  const lines = readFileSync(`${fixtures}${name}`, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Golden);
}

/** What we print for the arguments of trec_eval. */
export function answer(qrels: Qrels, run: Run, { arguments: args, version }: Golden): string {
  const after = (flag: string) => args.flatMap((word, index) => (word === flag ? [args[index + 1] as string] : []));
  const [level] = after('-l');
  const [maxRetrieved] = after('-M');
  const names = after('-m').flatMap((name) => name.split(','));
  const options: RunMeasureOptions = {
    version,
    complete: args.includes('-c'),
    judgedOnly: args.includes('-J'),
    ...(level ? { level: Number(level) } : {}),
    ...(maxRetrieved ? { maxRetrieved: Number(maxRetrieved) } : {}),
    ...(names.length > 0 ? { measures: names } : {}),
  };
  const printed = { perQuery: args.includes('-q'), overall: !args.includes('-n'), version };
  return [...formatTrecEval(measureRun(qrels, run, options), printed)].join('');
}
