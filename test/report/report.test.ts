import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatTick, lineChart, niceTicks, smooth, thin } from '../../lib/report/chart.js';
import { escapeHtml, escapeJson } from '../../lib/report/escape.js';
import { formatCount, formatDuration, formatNumber, formatPercent } from '../../lib/report/format.js';
import { renderReport, writeHtmlReport } from '../../lib/report/html.js';
import { type RunData, readRunData } from '../../lib/report/run-data.js';
import type { EvaluationRecord, SampleRecord, StepRecord } from '../../lib/train/events.js';

const interval = (mean: number) => ({ mean, low: mean - 0.05, high: mean + 0.05 });

const evaluation = (label: string, kind: EvaluationRecord['kind'], mrr: number): EvaluationRecord => ({
  ...{ type: 'evaluation', step: 10, label, kind, instances: 40, perInstance: {} },
  measures: { mrr: interval(mrr), malformed_rate: interval(0.1) },
});

const step = (number: number, metrics: Record<string, number>): StepRecord => ({
  ...{ type: 'step', step: number, stage: 'GRPO', kind: 'grpo', stage_step: number },
  metrics,
});

const sample: SampleRecord = {
  ...{ step: 1, stage: 'GRPO', instance: 'user/1', prompt: 'user:\nwhich one?' },
  completions: [
    {
      ...{ text: 'A thought', tokens: 9, stop: 'stop_token', outcome: 'ok', reward: 1, advantage: 0.7 },
      parts: { exclusion: 1 },
    },
  ],
};

const data = (change: Partial<RunData> = {}): RunData => ({
  facts: { name: 'A run', notes: ['A note.'], steps: 20, device: 'cpu', parameters: 1234567, config: { seed: 1 } },
  status: 'running',
  steps: [step(1, { reward: 0.25, malformed_rate: 0.5, num_tokens: 5000 }), step(2, { reward: 0.5, num_tokens: 9000 })],
  timing: [{ step: 1, seconds: { generate: 1, forward: 2, total: 4 } }],
  evaluations: [evaluation('chance', 'baseline', 0.34), evaluation('after GRPO', 'model', 0.7)],
  comparisons: [
    {
      ...{ type: 'comparison', step: 10, label: 'after GRPO', baseline: 'after warm-up' },
      gains: { mrr: interval(0.2) },
    },
  ],
  samples: [sample],
  ...change,
});

const hostile = `</script><script>alert(1)</script><img src=x onerror="alert('2')">&amp;\u2028\u0000`;

describe('renderReport', () => {
  it('shows what the run is, how far it is, its table, gains, curves, times and samples', () => {
    const page = renderReport(data());
    for (const text of [
      ...['A run', 'A note.', 'step 2 of 20', '1,234,567 parameters', '9,000 tokens', 'running', '40 unseen instances'],
      ...['34.0', '65.0 – 75.0', '+20.0', 'clear of zero', 'Reward', 'Time by phase', 'Sample completions'],
    ]) {
      expect(page, text).toContain(text);
    }
    expect(page).not.toContain('Gradient norm');
  });

  it('needs nothing from elsewhere', () => {
    const page = renderReport(data());
    expect(page).not.toMatch(/(src|href)\s*=|@import|url\(|https?:/i);
    expect(page).toContain("default-src 'none'");
  });

  it('shows a run that has only begun', () => {
    const empty = data({ steps: [], timing: [], evaluations: [], comparisons: [], samples: [] });
    expect(renderReport(empty)).toContain('step 0 of 20');
  });

  it('lets no text of a model, a data set or a setting become markup', () => {
    const first = sample.completions[0] as (typeof sample.completions)[0];
    const page = renderReport(
      data({
        facts: { ...data().facts, name: hostile, notes: [hostile], device: hostile, config: { name: hostile } },
        steps: [1, 2, 3].map((number) => ({ ...step(number, { reward: number }), stage: hostile })),
        evaluations: [evaluation(hostile, 'model', 0.5)],
        comparisons: [
          { ...{ type: 'comparison', step: 1, label: hostile, baseline: hostile }, gains: { mrr: interval(0.1) } },
        ],
        samples: [
          {
            ...sample,
            instance: hostile,
            prompt: hostile,
            completions: [{ ...first, text: hostile, parts: { [hostile]: 1 } }],
          },
        ],
      }),
    );
    expect(page.match(/<script/g)).toHaveLength(2);
    expect(page.match(/<\/script/g)).toHaveLength(2);
    expect(page).not.toContain('<img');
    const json = page.match(/<script type="application\/json" id="samples-data">([\s\S]*?)<\/script>/)?.[1] as string;
    expect(JSON.parse(json)[0].completions[0].text).toBe(hostile);
  });

  it('stays small for a long run', () => {
    const steps = Array.from({ length: 20_000 }, (_, i) =>
      step(i + 1, { reward: Math.sin(i / 100), grad_norm: 1, entropy: 2 }),
    );
    const samples = Array.from({ length: 2000 }, (_, i) => ({ ...sample, step: i }));
    expect(renderReport(data({ steps, samples })).length).toBeLessThan(500_000);
  });
});

describe('the report of a folder', () => {
  it('is read up to the last whole line and replaced in one piece', () => {
    const folder = mkdtempSync(join(tmpdir(), 'winnow-report-'));
    writeFileSync(join(folder, 'run.json'), JSON.stringify(data().facts));
    writeFileSync(
      join(folder, 'metrics.jsonl'),
      `${JSON.stringify(step(1, { reward: 1 }))}\n${JSON.stringify(data().evaluations[0])}\n{"type":"st`,
    );
    const read = readRunData(folder, 'completed');
    expect(read.steps).toHaveLength(1);
    expect(read.evaluations).toHaveLength(1);
    writeHtmlReport(folder, read);
    const path = writeHtmlReport(folder, { ...read, status: 'failed' });
    expect(readFileSync(path, 'utf8')).toContain('failed');
    expect(readdirSync(folder).sort()).toEqual(['metrics.jsonl', 'report.html', 'run.json']);
  });
});

describe('charts', () => {
  it('draws a point for few values, a line for some, a smoothed line over a faint one for many', () => {
    const chart = (count: number) =>
      lineChart({
        ...{ title: 'T', caption: 'c', marks: [] },
        series: [{ label: 's', points: Array.from({ length: count }, (_, i) => [i, i % 3] as const) }],
      });
    expect(chart(0)).toBe('');
    expect(chart(2).match(/<circle/g)).toHaveLength(2);
    expect(chart(10).match(/<polyline/g)).toHaveLength(1);
    expect(chart(100).match(/<polyline/g)).toHaveLength(2);
    expect(chart(100)).not.toMatch(/NaN|Infinity/);
  });

  it('draws one value, and values that are all equal, and leaves out those that are no numbers', () => {
    const of = (...values: number[]) =>
      lineChart({ title: 'T', caption: '', marks: [], series: [{ label: 's', points: values.map((y, x) => [x, y]) }] });
    for (const chart of [of(0), of(5, 5, 5), of(-1e-9, 1e-9, 0), of(1e12, 2e12, 3e12)]) {
      expect(chart).not.toMatch(/NaN|Infinity/);
    }
    expect(of(Number.NaN, Number.POSITIVE_INFINITY)).toBe('');
  });

  it('chooses round ticks that cover the values', () => {
    expect(niceTicks(0, 1, 4)).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(niceTicks(-0.9, 1.1, 4)).toEqual([-1, -0.5, 0, 0.5, 1, 1.5]);
    expect(niceTicks(3, 17, 4)).toEqual([0, 5, 10, 15, 20]);
    expect(formatTick(2.015, 0.005)).toBe('2.015');
    expect(formatTick(0.0000005, 0.00000025)).toBe('5e-7');
  });

  it('smooths without a bias at the start, and thins by means', () => {
    expect(
      smooth(
        [
          [0, 4],
          [1, 4],
          [2, 4],
        ],
        0.9,
      ).map(([, y]) => y),
    ).toEqual([4, 4, 4]);
    expect(
      smooth(
        [
          [0, 0],
          [1, 1],
        ],
        0.5,
      )[1]?.[1],
    ).toBeCloseTo(2 / 3, 12);
    expect(
      thin(
        [
          [0, 0],
          [1, 2],
          [2, 4],
          [3, 6],
        ],
        2,
      ),
    ).toEqual([
      [1, 1],
      [3, 5],
    ]);
  });
});

describe('text', () => {
  it('escapes markup and shows control characters', () => {
    expect(escapeHtml(`<a href='x'>"&\u0000`)).toBe('&lt;a href=&#39;x&#39;&gt;&quot;&amp;\\x00');
    expect(escapeJson({ a: '</script>\u2028' })).toBe('{"a":"\\u003c/script\\u003e\\u2028"}');
  });

  it('formats numbers as people read them', () => {
    expect(
      [0, 0.12345, 123.456, 1234.5, 0.00001234, 5e-7, -2.5, Number.NaN].map((value) => formatNumber(value)),
    ).toEqual([...['0', '0.123', '123', '1235', '1.23e-5', '5e-7', '-2.5', '–']]);
    expect([formatCount(1234567.8), formatPercent(0.1234)]).toEqual(['1,234,568', '12.3']);
    expect([0.5, 8, 75, 7500].map(formatDuration)).toEqual(['0.5 s', '8 s', '1 min 15 s', '2 h 5 min']);
  });
});
