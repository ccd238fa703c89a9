/** The report of a run as one HTML page that needs nothing else: styles, charts, samples and behaviour are inside it. */
import { join } from 'node:path';
import { writeFileAtomically } from '../train/output.js';
import { escapeHtml, escapeJson } from './escape.js';
import { evaluationTable } from './evaluation-table.js';
import { formatCount, formatDuration, formatNumber, formatPercent } from './format.js';
import { pagedSection, renderPage } from './page.js';
import { charts, kPhases, taskTable } from './panels.js';
import type { RunData } from './run-data.js';
import { kReload, kScript } from './script.js';

/** Replaces `report.html` in the run folder in one instant, so that a reader never sees half a page. */
export function writeHtmlReport(folder: string, data: RunData): string {
  const path = join(folder, 'report.html');
  writeFileAtomically(path, renderReport(data), { sync: data.status !== 'running' });
  return path;
}

export function renderReport(data: RunData): string {
  const { facts, status } = data;
  const body = `<header><h1>${escapeHtml(facts.name)}</h1><span class="badge ${status}">${status}</span></header>
<p class="facts">${escapeHtml(factLine(data))}</p>
${notes(facts.notes)}${cards(data)}${evaluationTable(data)}${taskTable(data.evaluations)}
${charts(data)}${timing(data)}${samples(data)}
<details><summary>Configuration</summary><pre class="panel">${escapeHtml(JSON.stringify(facts.config ?? null, null, 2))}</pre></details>
<footer>Written by Winnow. The same figures are in metrics.jsonl, timing.jsonl and samples.jsonl beside this page.</footer>`;
  return renderPage({ title: facts.name, body, script: `${kScript}${status === 'running' ? kReload : ''}` });
}

function factLine({ facts, steps, timing: times }: RunData): string {
  const seconds = times.reduce((sum, record) => sum + (record.seconds.total ?? 0), 0);
  const tokens = steps.at(-1)?.metrics.num_tokens;
  return [
    `step ${formatCount(steps.at(-1)?.step ?? 0)} of ${formatCount(facts.steps)}`,
    `${formatCount(facts.parameters)} parameters`,
    facts.device,
    `${formatDuration(seconds)} of training`,
    ...(tokens === undefined ? [] : [`${formatCount(tokens)} tokens`]),
  ]
    .filter((part) => part !== '')
    .join('  ·  ');
}

function notes(texts: readonly string[]): string {
  if (texts.length === 0) return '';
  return `<div class="notes">${texts.map((text) => `<p>${escapeHtml(text)}</p>`).join('')}</div>`;
}

function cards({ steps, evaluations, comparisons }: RunData): string {
  const last = steps.findLast(({ kind }) => kind === 'grpo')?.metrics;
  const best = evaluations.findLast(({ kind }) => kind === 'model');
  const gain = comparisons.at(-1);
  const found = [
    ['mean reward, last step', last?.reward === undefined ? undefined : formatNumber(last.reward), ''],
    ['malformed, last step', last?.malformed_rate === undefined ? undefined : formatPercent(last.malformed_rate), '%'],
    [`MRR ${best?.label ?? ''}`, best?.measures.mrr && formatPercent(best.measures.mrr.mean), '× 100'],
    [
      `gain in MRR ${gain?.label ?? ''}`,
      gain?.gains.mrr && `${gain.gains.mrr.mean >= 0 ? '+' : ''}${formatPercent(gain.gains.mrr.mean)}`,
      gain?.gains.mrr && `[${formatPercent(gain.gains.mrr.low)}, ${formatPercent(gain.gains.mrr.high)}]`,
    ],
  ] as const;
  const shown = found.filter(([, value]) => value !== undefined);
  if (shown.length === 0) return '';
  const card = ([name, value, unit]: (typeof found)[number]) =>
    `<div class="card"><span>${escapeHtml(name)}</span><b>${value}</b> <em>${unit}</em></div>`;
  return `<section class="cards">${shown.map(card).join('')}</section>`;
}

function timing({ timing: times, steps }: RunData): string {
  const stages = [...new Set(steps.map(({ stage }) => stage))];
  const stageOf = new Map(steps.map(({ step, stage }) => [step, stage]));
  const rows = stages.map((stage) => {
    const own = times.filter(({ step }) => stageOf.get(step) === stage);
    const total = own.reduce((sum, { seconds }) => sum + (seconds.total ?? 0), 0);
    const phases = kPhases.map(([phase]) => own.reduce((sum, { seconds }) => sum + (seconds[phase] ?? 0), 0));
    const named = [...phases, Math.max(0, total - phases.reduce((sum, value) => sum + value, 0))];
    return { stage, total, named, steps: own.length };
  });
  if (rows.every(({ total }) => total === 0)) return '';
  const bars = rows.map(({ stage, total, named, steps: count }) => {
    const parts = named.map((seconds, index) => {
      const label = `${phaseLabel(index)}: ${formatDuration(seconds)}`;
      const style = `flex-grow:${(seconds / total).toFixed(4)}`;
      return `<i class="s${index}" style="${style}" title="${escapeHtml(label)}"></i>`;
    });
    const caption = `${stage}: ${formatDuration(total)}, ${formatDuration(total / Math.max(1, count))} a step`;
    const items = named.map((seconds, index) => {
      if (seconds === 0) return '';
      const share = `${phaseLabel(index)} ${formatPercent(seconds / total)} %`;
      return `<li class="s${index}">${escapeHtml(share)}</li>`;
    });
    return `<div class="bar" role="img" aria-label="${escapeHtml(caption)}">${parts.join('')}</div><ul class="legend"><li class="plain"><b>${escapeHtml(caption)}</b></li>${items.join('')}</ul>`;
  });
  return `<h2>Time by phase</h2><section class="panel">${bars.join('')}</section>`;
}

function phaseLabel(index: number): string {
  return kPhases[index]?.[1] ?? 'everything else';
}

function samples({ samples: records }: RunData): string {
  if (records.length === 0) return '';
  const kMost = 200;
  const every = Math.ceil(records.length / kMost);
  const kept = records.filter((_, index) => (records.length - 1 - index) % every === 0);
  const without = 'Paging through samples needs scripts; the same texts are in samples.jsonl.';
  return `<h2>Sample completions</h2>${pagedSection('samples', { data: escapeJson(kept), without })}`;
}
