/** How cost grows: exponents of power laws, and a plot of what they were fitted to. */

export interface GrowthPoint {
  /** What was varied, e.g. G. */
  readonly value: number;
  /** Tokens that must be computed. */
  readonly tokens: number;
  /** Floating-point operations that must be done. */
  readonly operations: number;
  readonly seconds: number;
}

/** What grows with tokens. */
export type Cost = 'seconds' | 'operations';

/** b of cost = a tokens^b, by least squares in logarithms; NaN for fewer than two different numbers of tokens. */
export function growthExponent<C extends Cost>(points: readonly Pick<GrowthPoint, 'tokens' | C>[], cost: C): number {
  const x = points.map(({ tokens }) => Math.log(tokens));
  const y = points.map((point) => Math.log(point[cost]));
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanX, meanY] = [mean(x), mean(y)];
  const products = x.reduce((sum, value, i) => sum + (value - meanX) * ((y[i] as number) - meanY), 0);
  const squares = x.reduce((sum, value) => sum + (value - meanX) ** 2, 0);
  return squares > 0 ? products / squares : Number.NaN;
}

export interface GrowthLine {
  readonly name: string;
  readonly points: readonly GrowthPoint[];
}

const WIDTH = 880;
const HEIGHT = 440;
const MARGIN = { left: 64, right: 350, top: 36, bottom: 48 };
// Told apart by those who see no red or green too (Okabe and Ito).
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#555555'];

const escapeText = (words: string): string => words.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

/** Powers of ten from the one at or below the least value to the one at or above the greatest. */
function decades(values: readonly number[]): number[] {
  const first = Math.floor(Math.log10(Math.min(...values)));
  const last = Math.max(first + 1, Math.ceil(Math.log10(Math.max(...values))));
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** Both axes logarithmic, so that a power law is a straight line, and cost linear in tokens one of slope 1. At least one point. */
export function growthPlot(lines: readonly GrowthLine[], title: string): string {
  const points = lines.flatMap((line) => line.points);
  const columns = decades(points.map(({ tokens }) => tokens));
  const rows = decades(points.map(({ seconds }) => seconds));
  const place = (value: number, ticks: readonly number[], from: number, to: number): number => {
    const [first, last] = [ticks[0] as number, ticks.at(-1) as number];
    return Math.round(10 * (from + ((to - from) * (Math.log10(value) - first)) / (last - first))) / 10;
  };
  const x = (tokens: number): number => place(tokens, columns, MARGIN.left, WIDTH - MARGIN.right);
  const y = (seconds: number): number => place(seconds, rows, HEIGHT - MARGIN.bottom, MARGIN.top);
  const text = (left: number, top: number, anchor: string, words: string): string =>
    `<text x="${left}" y="${top}" text-anchor="${anchor}">${escapeText(words)}</text>`;
  const [right, bottom] = [WIDTH - MARGIN.right, HEIGHT - MARGIN.bottom];
  const grid = [
    ...rows.map((power) => {
      const at = y(10 ** power);
      return `<line x1="${MARGIN.left}" x2="${right}" y1="${at}" y2="${at}" stroke="#ddd"/>${text(MARGIN.left - 8, at + 4, 'end', String(10 ** power))}`;
    }),
    ...columns.map((power) => text(x(10 ** power), bottom + 18, 'middle', String(10 ** power))),
    text((MARGIN.left + right) / 2, HEIGHT - 10, 'middle', 'tokens that must be computed'),
    text(8, MARGIN.top - 14, 'start', 'seconds'),
    text((MARGIN.left + right) / 2, 18, 'middle', title),
  ];
  const drawn = lines.flatMap((line, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const path = line.points.map(({ tokens, seconds }) => `${x(tokens)},${y(seconds)}`);
    const [seconds, work] = (['seconds', 'operations'] as const).map((cost) =>
      growthExponent(line.points, cost).toFixed(2),
    );
    const label = `${line.name}: exponent ${seconds}, work ${work}`;
    return [
      `<polyline points="${path.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      ...path.map(
        (point) => `<circle cx="${point.split(',')[0]}" cy="${point.split(',')[1]}" r="2.5" fill="${colour}"/>`,
      ),
      `<text x="${right + 12}" y="${MARGIN.top + 16 * index}" fill="${colour}">${escapeText(label)}</text>`,
    ];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    ...grid,
    ...drawn,
    '</svg>\n',
  ].join('\n');
}
