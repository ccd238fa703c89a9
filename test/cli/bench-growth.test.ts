import { expect, test } from 'vitest';
import { decodeWork, grpoPhases } from '../../lib/cli/bench/accounting.js';
import { exclusionComputedTokens, exclusionPhases } from '../../lib/cli/bench/accounting-exclusion.js';
import { growthExponent, growthPlot } from '../../lib/cli/bench/growth.js';
import { profile } from '../../lib/cli/bench/record.js';
import { benchShapes } from '../../lib/cli/bench/shapes.js';
import { smallDecoder } from './small-decoder.js';

const law = (exponent: number, tokens: readonly number[]) =>
  tokens.map((n) => ({ value: n, tokens: n, seconds: 0.25 * n ** exponent, operations: 3 * n ** 2 }));

test('exponents of power laws', () => {
  expect(growthExponent(law(1, [10, 20, 80]), 'seconds')).toBeCloseTo(1, 12);
  expect(growthExponent(law(1.5, [3, 30, 300]), 'operations')).toBeCloseTo(2, 12);
  expect(growthExponent(law(1.5, [3, 30, 300]), 'seconds')).toBeCloseTo(1.5, 12);
  // By hand in powers of e: x 0, 1, 2 and y 0, 2, 1: slope (0 - 1)(-1) + 0 + (1)(0) over 2.
  const e = Math.E;
  const points = [
    { tokens: 1, seconds: 1 },
    { tokens: e, seconds: e ** 2 },
    { tokens: e ** 2, seconds: e },
  ];
  expect(growthExponent(points, 'seconds')).toBeCloseTo(0.5, 12);
  expect(growthExponent([{ tokens: 5, seconds: 1 }], 'seconds')).toBeNaN();
});

test.each([
  // What docs/performance.md sets beside the measured ones.
  ['G', [1, 2, 4, 8, 16, 32, 64].map((group) => ({ group, prompt: 256 })), 1.36, 1.2],
  ['P', [128, 256, 512, 1024, 2048, 4096].map((prompt) => ({ group: 8, prompt })), 1.08, 1.35],
])('exponents of the counted work of a GRPO step in its tokens: %s', (_, sizes, all, upperHalf) => {
  const points = sizes.map(({ group, prompt }) => {
    const phases = Object.values(grpoPhases(benchShapes.small, 'bf16', { group, prompt, completion: 32 }));
    return { tokens: prompt + group * 32, operations: phases.reduce((sum, { flops }) => sum + flops, 0) };
  });
  expect(growthExponent(points, 'operations')).toBeCloseTo(all, 2);
  expect(growthExponent(points.slice(points.length >> 1), 'operations')).toBeCloseTo(upperHalf, 2);
});

test('a plot whose lines have the slope of their law', () => {
  const svg = growthPlot([{ name: 'a<b', points: law(1, [10, 100, 1000]) }], 'Title');
  expect(svg.startsWith('<svg ')).toBe(true);
  expect(svg.endsWith('</svg>\n')).toBe(true);
  expect(svg).toContain('a&#60;b: exponent 1.00, work 2.00');
  const [, path = ''] = svg.match(/polyline points="([^"]*)"/) ?? [];
  const [a, b, c] = path.split(' ').map((point) => point.split(',').map(Number)) as [number, number][];
  // Equal steps in logarithms are equal steps on paper, to the right and up.
  expect((b as number[])[0]).toBeCloseTo(((a as number[])[0] as number) / 2 + ((c as number[])[0] as number) / 2, 0);
  expect((b as number[])[1]).toBeCloseTo(((a as number[])[1] as number) / 2 + ((c as number[])[1] as number) / 2, 0);
  expect((c as number[])[1]).toBeLessThan((a as number[])[1] as number);
});

test('the longest label of a plot ends within it', () => {
  const svg = growthPlot([{ name: 'candidates, 2 threads', points: law(1, [10, 100]) }], 'Title');
  const width = Number(svg.match(/viewBox="0 0 (\d+) /)?.[1]);
  const [, left, label = ''] = svg.match(/x="(\d+)" [^>]*>(candidates[^<]*)</) ?? [];
  // Letters of 12 pixels in height are 7 in width, about.
  expect(Number(left) + 7 * label.length).toBeLessThanOrEqual(width);
});

test('the work of an exclusion, by hand', () => {
  const config = smallDecoder;
  const shape = { queries: 2, candidates: 3, shared: 2, prefix: 5, candidateTokens: 4, suffix: 1, answerTokens: 3 };
  // Steps with 3 and 2 candidates: 13 and 9 tokens after the prefix; 3 own tokens of it, 2 shared by both queries.
  expect(exclusionComputedTokens(shape)).toBe(2 + 2 * (3 + 13 + 9));
  const { prefill, decode } = exclusionPhases(config, 'f32', shape);
  // Keys seen: 1 + 2 by the shared tokens, 3 x 2 + 6 by the rest of a prefix, 5 x 13 + 91 and 5 x 9 + 45 after it.
  const pairs = 3 + 2 * (12 + 156 + 90);
  expect(prefill.flops).toBe(2 * 52 * 480 + 2 * 2 * 2 * 80 + 64 * pairs);
  expect(prefill.bytes).toBe(2 * 560 * 4 + 52 * 64);
  const steps = [18, 14].map((context) => decodeWork(config, 'f32', { rows: 2, context, shared: 2, steps: 2 }));
  expect(decode.flops).toBe(steps.reduce((sum, { flops }) => sum + flops, 0));
});

test('a profile has a row for what no phase accounts for, and sums to the wall time', () => {
  const peak = { flopsPerSecond: 100, bytesPerSecond: 10 };
  const rows = profile(10, { forward: 4, update: 3.5 }, { forward: { flops: 200, bytes: 0 } }, peak);
  expect(rows).toEqual([
    { phase: 'forward', seconds: 4, floorSeconds: 2 },
    { phase: 'update', seconds: 3.5, floorSeconds: undefined },
    { phase: 'not accounted for', seconds: 2.5, floorSeconds: undefined },
  ]);
});
