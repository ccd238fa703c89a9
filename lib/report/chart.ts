/** Line charts as inline SVG: no library, no external resource, readable without scripts. */
import { escapeHtml, escapeJson } from './escape.js';
import { formatNumber } from './format.js';

export type Point = readonly [x: number, y: number];

export interface Series {
  readonly label: string;
  readonly points: readonly Point[];
}

export interface LineChart {
  readonly title: string;
  /** What the measure says, in a few words. */
  readonly caption: string;
  readonly series: readonly Series[];
  /** Vertical marks, e.g. where a stage begins. */
  readonly marks: readonly { readonly x: number; readonly label: string }[];
  /** Keeps the axis from magnifying noise: it spans at least this much. */
  readonly minimumSpan?: number;
  /** The values are exact: no smoothed line is drawn over them. */
  readonly exact?: boolean;
}

const kWidth = 520;
const kHeight = 200;
const kMargin = { left: 54, right: 10, top: 10, bottom: 24 };
const kMaxPoints = 400;

/** A figure with title, caption, legend and plot; empty text when no series has a point. */
export function lineChart(chart: LineChart): string {
  const series = chart.series.map((one) => ({
    ...one,
    points: thin(one.points.filter(([, y]) => Number.isFinite(y))),
  }));
  const points = series.flatMap((one) => one.points);
  if (points.length === 0) return '';
  const x = scale(range(points.map(([value]) => value)), kMargin.left, kWidth - kMargin.right);
  const span = widen(range(points.map(([, value]) => value)), chart.minimumSpan ?? 0);
  const ticks = niceTicks(span.low, span.high, 4);
  const y = scale({ low: ticks[0] as number, high: ticks.at(-1) as number }, kHeight - kMargin.bottom, kMargin.top);
  const body = [
    ...ticks.map((tick) => yTick(formatTick(tick, (ticks[1] as number) - (ticks[0] as number)), y(tick))),
    ...xTicks(x),
    ...chart.marks.map((mark) => markLine(x(mark.x), mark.label)),
    ...series.map((one, index) =>
      stretches(one.points, chart.marks)
        .map((part) => curve(part, x, y, index, chart.exact === true))
        .join(''),
    ),
    `<line class="cursor" y1="${kMargin.top}" y2="${kHeight - kMargin.bottom}" x1="-9" x2="-9"/>`,
  ];
  const hover = { x: [x.low, x.high], series: series.map(({ label, points: values }) => ({ label, points: values })) };
  return `<figure class="chart" data-plot='${escapeJson(hover).replace(/'/g, '\\u0027')}'>
<figcaption><strong>${escapeHtml(chart.title)}</strong><span>${escapeHtml(chart.caption)}</span></figcaption>
${legend(series)}
<svg viewBox="0 0 ${kWidth} ${kHeight}" role="img" aria-label="${escapeHtml(chart.title)} by step">${body.join('')}</svg>
<output></output>
</figure>`;
}

/** Exponential moving average, started at the first value and corrected for it. */
export function smooth(points: readonly Point[], weight: number): Point[] {
  let sum = 0;
  let total = 0;
  return points.map(([x, y]) => {
    sum = weight * sum + (1 - weight) * y;
    total = weight * total + (1 - weight);
    return [x, sum / total];
  });
}

/** The points between one mark and the next: a stage is not smoothed into the one after it. */
function stretches(points: readonly Point[], marks: LineChart['marks']): readonly (readonly Point[])[] {
  const starts = [...new Set([Number.NEGATIVE_INFINITY, ...marks.map(({ x }) => x).sort((a, b) => a - b)])];
  const parts = starts.map((start, index) => {
    const end = starts[index + 1] ?? Number.POSITIVE_INFINITY;
    return points.filter(([x]) => x >= start && x < end);
  });
  return parts.filter(({ length }) => length > 0);
}

/** Means of equal stretches, so that a long run stays a small page. */
export function thin(points: readonly Point[], most = kMaxPoints): readonly Point[] {
  if (points.length <= most) return points;
  return Array.from({ length: most }, (_, bucket): Point => {
    const from = Math.floor((bucket * points.length) / most);
    const part = points.slice(from, Math.floor(((bucket + 1) * points.length) / most));
    const mean = (pick: 0 | 1) => part.reduce((sum, point) => sum + point[pick], 0) / part.length;
    return [Math.round(mean(0)), mean(1)];
  });
}

/** Round tick values that cover low .. high; at least two. */
export function niceTicks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

interface Range {
  readonly low: number;
  readonly high: number;
}
type Scale = ((value: number) => number) & Range;

function range(values: readonly number[]): Range {
  return values.reduce((held, value) => ({ low: Math.min(held.low, value), high: Math.max(held.high, value) }), {
    low: Number.POSITIVE_INFINITY,
    high: Number.NEGATIVE_INFINITY,
  });
}

function widen({ low, high }: Range, minimum: number): Range {
  const span = Math.max(high - low, minimum, Math.abs(high) * 1e-6, 1e-12);
  if (high - low >= span) return { low, high };
  // A curve of one sign, like a rate or a length, keeps zero as its floor.
  const centre = (low + high) / 2;
  const start = low >= 0 ? Math.max(0, centre - span / 2) : centre - span / 2;
  return { low: start, high: start + span };
}

function scale({ low, high }: Range, from: number, to: number): Scale {
  const width = high - low || 1;
  return Object.assign((value: number) => round(from + ((value - low) / width) * (to - from)), { low, high });
}

function yTick(tick: string, y: number): string {
  return `<line class="grid" x1="${kMargin.left}" x2="${kWidth - kMargin.right}" y1="${y}" y2="${y}"/><text class="tick" x="${kMargin.left - 6}" y="${y + 3.5}" text-anchor="end">${tick}</text>`;
}

/** As many decimals as tell neighbouring ticks apart. */
export function formatTick(tick: number, step: number): string {
  const decimals = -Math.floor(Math.log10(step) + 1e-9);
  if (decimals > 4 || Math.abs(tick) >= 1e6) return tick === 0 ? '0' : formatNumber(tick, 2);
  return String(Number(tick.toFixed(Math.max(0, decimals + 1))));
}

function xTicks(x: Scale): string[] {
  const ticks = niceTicks(x.low, Math.max(x.high, x.low + 1), 5).filter(
    (tick) => Number.isInteger(tick) && tick >= x.low && tick <= x.high,
  );
  return ticks.map(
    (tick) => `<text class="tick" x="${x(tick)}" y="${kHeight - 7}" text-anchor="middle">${tick}</text>`,
  );
}

function markLine(x: number, label: string): string {
  return `<line class="mark" x1="${x}" x2="${x}" y1="${kMargin.top}" y2="${kHeight - kMargin.bottom}"/><text class="mark-label" x="${x + 4}" y="${kMargin.top + 9}">${escapeHtml(label)}</text>`;
}

function curve(points: readonly Point[], x: Scale, y: Scale, index: number, exact: boolean): string {
  const plotted = (list: readonly Point[]) => list.map(([a, b]) => `${x(a)},${y(b)}`).join(' ');
  if (points.length < 3) {
    return points.map(([a, b]) => `<circle class="dot s${index}" cx="${x(a)}" cy="${y(b)}" r="2.5"/>`).join('');
  }
  const line = (style: string, list: readonly Point[]) =>
    `<polyline class="${style} s${index}" points="${plotted(list)}"/>`;
  if (exact || points.length < 40) return line('line', points);
  return line('raw', points) + line('line', smooth(points, Math.max(0.5, Math.min(0.9, 1 - 16 / points.length))));
}

function legend(series: readonly Series[]): string {
  if (series.length < 2) return '';
  const items = series.map(({ label }, index) => `<li class="s${index}">${escapeHtml(label)}</li>`);
  return `<ul class="legend">${items.join('')}</ul>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
