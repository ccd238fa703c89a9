import { WinnowError } from '../../errors.js';
import type { JudgedRanking } from '../measures/index.js';
import {
  type MeasureFamily,
  type MeasureSettings,
  measureAliases,
  measureFamilies,
  measureNicknames,
  type Summary,
} from './measure-table.js';

/** One measure as it is printed. */
export interface Measure {
  /** As trec_eval prints it, such as ndcg_cut_10. */
  readonly name: string;
  readonly summary: Summary;
  value(ranking: JudgedRanking, settings: MeasureSettings): number;
}

function unknownMeasure(received: string, hint?: string): WinnowError {
  return new WinnowError('ERR_MEASURE_UNKNOWN', 'there is no such measure', {
    expected: `official, set, ${measureFamilies.map(({ name }) => name).join(', ')}; with a cutoff as P_5 or P.5 or P@5`,
    received,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** Name, and parameters as text: none, or what follows `.`, `_` or `@`. */
function takeApart(text: string): { families: readonly string[]; parameter?: string } {
  const nickname = measureNicknames.get(text);
  if (nickname) return { families: nickname };
  const [, alias = '', depth = ''] = text.match(/^([^@]+)@(\d+)$/) ?? [];
  const named = measureAliases.get(alias);
  if (named !== undefined) return { families: [named], parameter: depth };
  // The longest name first: ndcg_cut before ndcg.
  const names = measureFamilies.map(({ name }) => name).sort((a, b) => b.length - a.length);
  const name = names.find((one) => text === one || text.startsWith(`${one}.`) || text.startsWith(`${one}_`));
  if (name === undefined) throw unknownMeasure(text);
  return { families: [name], ...(text === name ? {} : { parameter: text.slice(name.length + 1) }) };
}

function parseParameter({ name, parameter }: MeasureFamily, text: string): number {
  const value = /^(?:\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : Number.NaN;
  const fits =
    parameter?.kind === 'rank'
      ? Number.isSafeInteger(value) && value >= 1
      : parameter?.kind === 'recall'
        ? value >= 0 && value <= 1
        : parameter?.kind === 'weight' && value >= 0;
  if (!fits) {
    const expected = { rank: 'a rank from 1', recall: 'a recall from 0 to 1', weight: 'a number from 0' };
    throw unknownMeasure(
      `${name}.${text}`,
      parameter ? `${name} takes ${expected[parameter.kind]}` : `${name} takes no parameter`,
    );
  }
  return value;
}

const familyOf = (name: string): MeasureFamily =>
  measureFamilies.find((family) => family.name === name) as MeasureFamily;

const nameOf = ({ name, parameter }: MeasureFamily, value: number): string =>
  `${name}_${parameter?.kind === 'recall' ? value.toFixed(2) : value}`;

function toMeasure(family: MeasureFamily, parameter: number | undefined): Measure {
  return {
    name: parameter === undefined ? family.name : nameOf(family, parameter),
    summary: family.summary ?? 'mean',
    // A family whose parameter is not given has a default of its own.
    value: (ranking, settings) => family.value(ranking, parameter as number, settings),
  };
}

/**
 * The measures that a list of names asks for, each once, in trec_eval's order. A name is a nickname (`official`, `set`), a name of
 * trec_eval, bare or with a parameter (`P`, `P.5`, `P_5`), or one of papers (`nDCG@10`, `MRR@10`, `Hit@5`, `Judged@10`). A bare
 * number belongs to the name before it, so that `ndcg_cut.5,10,map` reads as in trec_eval; parameters take the place of the
 * defaults that a bare name stands for.
 *
 * @param names the texts between the commas
 * @throws WinnowError ERR_MEASURE_UNKNOWN
 */
export function selectMeasures(names: readonly string[]): Measure[] {
  const wanted = new Map<string, Set<number>>();
  let previous: string | undefined;
  for (const text of names.map((name) => name.trim())) {
    const continues = previous !== undefined && /^[\d.]+$/.test(text);
    const { families, parameter } = continues ? { families: [previous as string], parameter: text } : takeApart(text);
    for (const name of families) {
      const parameters = wanted.get(name) ?? new Set();
      wanted.set(name, parameters);
      if (parameter !== undefined) parameters.add(parseParameter(familyOf(name), parameter));
    }
    previous = parameter === undefined ? undefined : families[0];
  }
  if (wanted.size === 0) throw unknownMeasure('an empty list');
  return measureFamilies.flatMap((family) => {
    const asked = wanted.get(family.name);
    if (asked === undefined) return [];
    const parameters = asked.size > 0 ? [...asked].sort((a, b) => a - b) : (family.parameter?.defaults ?? [undefined]);
    return parameters.map((parameter) => toMeasure(family, parameter));
  });
}
