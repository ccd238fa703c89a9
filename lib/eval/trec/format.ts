/** What trec_eval prints. */

import type { TrecEvalVersion } from './judge-run.js';
import type { MeasuredColumn, MeasuredRun } from './measure-run.js';

/**
 * A number as C's `%6.4f`. JavaScript's toFixed takes exact ties up, C to the even digit; a double is a tie at the fourth digit
 * just when it is an odd multiple of 1/32.
 */
export function formatDecimal(value: number): string {
  if (Math.abs(value * 32) % 2 !== 1) return value.toFixed(4).padStart(6);
  const below = Math.floor(Math.abs(value) * 10_000);
  const even = below % 2 === 0 ? below : below + 1;
  return `${value < 0 ? '-' : ''}${(even / 10_000).toFixed(4)}`.padStart(6);
}

function formatLine({ name, summary }: MeasuredColumn, query: string, value: number | string): string {
  const decimal = summary === 'mean' || summary === 'geometric_mean';
  return `${name.padEnd(22)}\t${query}\t${decimal ? formatDecimal(value as number) : value}\n`;
}

/**
 * Lines `measure TAB query TAB value`, byte for byte as trec_eval prints them: with `perQuery` (-q) first those of each query, then,
 * unless `overall` is false (-n), those over all queries. Under `complete` (-c) version 10 prints missing queries too.
 */
export function* formatTrecEval(
  { queryIds, missing, columns }: MeasuredRun,
  options: { readonly perQuery?: boolean; readonly overall?: boolean; readonly version?: TrecEvalVersion } = {},
): Generator<string> {
  const { perQuery = false, overall = true, version = 9 } = options;
  const ofQueries = columns.filter(({ summary }) => summary === 'mean' || summary === 'sum');
  for (const [index, query] of perQuery ? queryIds.entries() : []) {
    if (version === 9 && missing.has(query)) continue;
    for (const column of ofQueries) yield formatLine(column, query, column.perQuery[index] as number);
  }
  if (overall) for (const column of columns) yield formatLine(column, 'all', column.overall);
}
