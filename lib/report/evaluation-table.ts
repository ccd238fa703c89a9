/** The evaluation table: baselines and models side by side, and the paired gains. */
import type { ComparisonRecord, EvaluationRecord, Interval } from '../train/events.js';
import { escapeHtml } from './escape.js';
import { formatCount, formatPercent } from './format.js';
import type { RunData } from './run-data.js';

/** The columns of the table, in order; a column that no row has is left out. */
export const kMeasures: readonly (readonly [measure: string, label: string])[] = [
  ['mrr', 'MRR'],
  ['ndcg', 'nDCG'],
  ['hit1', 'Hit@1'],
  ['exclusion_accuracy', 'exclusion accuracy'],
  ['malformed_rate', 'malformed'],
];

export function evaluationTable({ evaluations: all, comparisons }: RunData): string {
  const evaluations = all.filter(({ kind }) => kind !== 'progress');
  if (evaluations.length === 0) return '';
  const columns = usedMeasures(evaluations);
  const best = Math.max(...evaluations.map(({ measures }) => measures.mrr?.mean ?? Number.NEGATIVE_INFINITY));
  const head = columns.map(([, label]) => `<th>${escapeHtml(label)}</th>`).join('');
  const rows = evaluations.map((record) => {
    const cells = columns
      .map(([measure]) => `<td>${cell(record.measures[measure], record.label === 'chance')}</td>`)
      .join('');
    const style = record.kind === 'baseline' ? 'baseline' : record.measures.mrr?.mean === best ? 'best' : '';
    return `<tr class="${style}"><td>${escapeHtml(record.label)}</td>${cells}<td>${record.kind === 'baseline' ? '' : record.step}</td></tr>`;
  });
  return `<h2>Evaluation</h2><section class="panel"><table><thead><tr><th>${instances(evaluations)}</th>${head}<th>step</th></tr></thead>
<tbody>${rows.join('')}</tbody></table><p class="hint">95 % bootstrap intervals over instances.</p></section>${gains(comparisons)}`;
}

/** Those of `kMeasures` that some row has. */
export function usedMeasures(evaluations: readonly EvaluationRecord[]): typeof kMeasures {
  return kMeasures.filter(([measure]) => evaluations.some((record) => record.measures[measure] !== undefined));
}

function instances(evaluations: readonly EvaluationRecord[]): string {
  const count = Math.max(...evaluations.map((record) => record.instances));
  return `${formatCount(count)} unseen instances, × 100`;
}

function cell(value: Interval | undefined, exact: boolean): string {
  if (value === undefined) return '–';
  const spread = exact ? 'exact' : `${formatPercent(value.low)} – ${formatPercent(value.high)}`;
  return `${formatPercent(value.mean)}<small>${spread}</small>`;
}

/** One row for each pair of rows compared, the newest last. */
function gains(comparisons: readonly ComparisonRecord[]): string {
  const columns = kMeasures.filter(([measure]) => comparisons.some(({ gains: found }) => found[measure] !== undefined));
  if (columns.length === 0) return '';
  const head = columns.map(([, label]) => `<th>${escapeHtml(label)}</th>`).join('');
  const rows = comparisons.map(({ label, baseline, gains: found }) => {
    const cells = columns.map(([measure]) => `<td>${gainCell(found[measure])}</td>`).join('');
    return `<tr><td>${escapeHtml(label)}<small>over ${escapeHtml(baseline)}</small></td>${cells}</tr>`;
  });
  return `<h2>Gains</h2><section class="panel"><table><thead><tr><th>paired by instance, × 100</th>${head}</tr></thead>
<tbody>${rows.join('')}</tbody></table></section>`;
}

function gainCell(gain: Interval | undefined): string {
  if (gain === undefined) return '–';
  const direction = gain.low > 0 ? 'up' : gain.high < 0 ? 'down' : '';
  const verdict = direction === '' ? 'not clear of zero' : 'clear of zero';
  const sign = gain.mean > 0 ? '+' : '';
  const spread = `${formatPercent(gain.low)} – ${formatPercent(gain.high)}, ${verdict}`;
  return `<span class="gain ${direction}">${sign}${formatPercent(gain.mean)}</span><small>${spread}</small>`;
}
