/** An evaluation as one HTML page: measures, what the ranker cost, how it failed, and rankings to read with their reasoning. */
import type { MeasureResult, ModelEvaluation } from '../eval/index.js';
import type { TokenUsage } from '../protocol/index.js';
import { escapeHtml, escapeJson } from './escape.js';
import { formatCount, formatDuration, formatNumber, formatPercent } from './format.js';
import { kPager, pagedSection, renderPage } from './page.js';
import type { ReadableRanking } from './readable-rankings.js';

export interface EvaluationPage {
  /** What was evaluated, and on what. */
  readonly model: string;
  readonly data: string;
  readonly evaluation: Omit<ModelEvaluation, 'results'> & { readonly tokens: TokenUsage };
  /** By name, on the same instances. */
  readonly baselines: Readonly<Record<string, readonly MeasureResult[]>>;
  readonly rankings: readonly ReadableRanking[];
}

export function renderEvaluation(page: EvaluationPage): string {
  const { model, data, evaluation, rankings } = page;
  const facts = [
    data,
    `protocol ${evaluation.protocol}`,
    `${formatCount(evaluation.instances)} instances`,
    formatDuration(evaluation.seconds),
  ];
  const body = `<header><h1>Evaluation of ${escapeHtml(model)}</h1></header>
<p class="facts">${escapeHtml(facts.join('  ·  '))}</p>
${cards(page)}${measures(page)}${exclusions(evaluation)}${malformed(evaluation)}${costs(evaluation)}${readable(rankings)}
<footer>Written by Winnow. The same figures are in evaluation.json, all rankings in rankings.jsonl beside this page.</footer>`;
  return renderPage({ title: `Evaluation of ${model}`, body, script: kScript });
}

function cards({ evaluation }: EvaluationPage): string {
  const { instances, measures: all, malformedRate, calls, tokens, seconds } = evaluation;
  const [first] = all;
  const shown = [
    ...(first === undefined
      ? []
      : [[first.name, formatPercent(first.mean), `× 100, chance ${formatPercent(first.chance)}`]]),
    ['malformed completions', formatPercent(malformedRate), '%'],
    ['calls an instance', formatNumber(calls / instances), ''],
    ['tokens sampled an instance', formatNumber(tokens.completion / instances), ''],
    ['seconds an instance', formatNumber(seconds / instances), 'many at once'],
  ];
  const card = ([name = '', value = '', unit = '']: string[]) =>
    `<div class="card"><span>${escapeHtml(name)}</span><b>${value}</b> <em>${unit}</em></div>`;
  return `<section class="cards">${shown.map(card).join('')}</section>`;
}

function measures({ evaluation, baselines }: EvaluationPage): string {
  const names = evaluation.measures.map(({ name }) => name);
  const cell = ({ mean, low, high }: MeasureResult) =>
    `<td>${formatPercent(mean)}<small>${formatPercent(low)} – ${formatPercent(high)}</small></td>`;
  const chance = evaluation.measures.map((one) => `<td>${formatPercent(one.chance)}<small>exact</small></td>`);
  const row = (name: string, cells: readonly string[], style: string) =>
    `<tr class="${style}"><td>${escapeHtml(name)}</td>${cells.join('')}</tr>`;
  const rows = [
    row('chance', chance, 'baseline'),
    ...Object.entries(baselines).map(([name, results]) => row(name, results.map(cell), 'baseline')),
    row('model', evaluation.measures.map(cell), 'best'),
  ];
  return `<h2>Measures</h2>${table(['× 100', ...names], rows)}<p class="hint">95 % bootstrap intervals over instances. Baselines learn from training users or queries alone.</p>`;
}

function exclusions({ exclusionBySize, exclusion }: EvaluationPage['evaluation']): string {
  if (exclusion === undefined) return '';
  const row = (size: string, { count, accuracy, chance }: Omit<typeof exclusion, never>) =>
    `<tr><td>${size}</td><td>${formatCount(count)}</td><td>${formatPercent(accuracy)}</td><td>${formatPercent(chance)}</td></tr>`;
  const rows = [...exclusionBySize.map((step) => row(String(step.size), step)), row('all', exclusion)];
  return `<h2>Exclusions by number of candidates shown</h2>${table(['shown', 'steps', 'right, %', 'chance, %'], rows)}`;
}

function malformed({ malformedByReason, calls, malformedRate, failedInstances }: EvaluationPage['evaluation']): string {
  const reasons = Object.entries(malformedByReason).sort(([, a], [, b]) => b - a);
  const row = (name: string, count: number) =>
    `<tr><td>${escapeHtml(name)}</td><td>${formatCount(count)}</td><td>${formatPercent(count / Math.max(1, calls))}</td></tr>`;
  const rows = [
    ...reasons.map(([reason, count]) => row(reason.replaceAll('_', ' '), count)),
    row('all', Math.round(malformedRate * calls)),
  ];
  const ended =
    failedInstances === 0 ? '' : `<p class="hint">${formatCount(failedInstances)} instances ended there.</p>`;
  return `<h2>Malformed completions</h2>${table(['reason', 'completions', '% of all'], rows)}${ended}`;
}

function costs({ calls, instances, tokens, seconds }: EvaluationPage['evaluation']): string {
  const row = (name: string, value: number) =>
    `<tr><td>${name}</td><td>${formatCount(value)}</td><td>${formatNumber(value / instances)}</td><td>${formatNumber(value / seconds)}</td></tr>`;
  const rows = [
    row('calls', calls),
    row('prompt tokens given', tokens.prompt),
    row('prompt tokens computed', tokens.computedPrompt),
    row('tokens sampled', tokens.completion),
  ];
  const given = tokens.prompt + tokens.completion;
  const ratio = given / Math.max(1, tokens.computedPrompt + tokens.completion);
  return `<h2>Calls and tokens</h2>${table(['', 'in all', 'an instance', 'a second'], rows)}<p class="hint">Without shared beginnings the engine would have computed ${formatNumber(ratio)} times as many tokens.</p>`;
}

function table(head: readonly string[], rows: readonly string[]): string {
  const titles = head.map((title) => `<th>${escapeHtml(title)}</th>`).join('');
  return `<section class="panel"><table><thead><tr>${titles}</tr></thead><tbody>${rows.join('')}</tbody></table></section>`;
}

function readable(rankings: readonly ReadableRanking[]): string {
  if (rankings.length === 0) return '';
  const without = 'Paging through rankings needs scripts; all of them are in rankings.jsonl.';
  return `<h2>Rankings to read</h2>${pagedSection('rankings', { data: escapeJson(rankings), without })}`;
}

const kScript = `
(() => {${kPager}
  pager('rankings', 'first', (one, body) => {
    body.append(make('pre', 'prompt', one.context));
    const order = make('ol', 'order');
    for (const { text, grade } of one.ranking) {
      const item = make('li', grade > 0 ? 'relevant' : '', text);
      if (grade > 0) item.append(make('span', 'tag ok', 'relevance ' + short(grade)));
      order.append(item);
    }
    body.append(one.ranking.length > 0 ? order : make('p', '', 'A malformed completion ended this instance.'));
    one.calls.forEach((call, index) => {
      const block = make('div', 'completion'), meta = make('div', 'meta');
      meta.append(make('b', '', 'Step ' + (call.step + 1) + (call.attempt > 0 ? ', attempt ' + (call.attempt + 1) : '')));
      meta.append(make('span', 'tag ' + (call.outcome === 'ok' ? 'ok' : 'bad'), call.outcome.replaceAll('_', ' ')));
      meta.append(make('span', '', call.says), make('span', '', call.tokens + ' tokens'));
      block.append(meta);
      if (index === 0) block.append(make('pre', 'prompt', call.prompt));
      else block.append(make('div', 'hint', 'shown: ' + call.shown));
      block.append(make('pre', '', call.text));
      body.append(block);
    });
    return [one.instance, one.task, ...one.measures.map(([name, value]) => name + ' ' + short(value))];
  });
})();
`;
