// Learning curves of several runs as one SVG file and a Markdown table: a line a variant, the mean over its seeds, and a band
// from the least to the greatest.
//   node scripts/learning-curves.mjs --output FILE.svg [--measure mrr] [--from-step N] [--samples-per-step N] [--title T] [--range 50,100] NAME=RUN,RUN,...
// RUN is a run folder with metrics.jsonl; its evaluations from --from-step on are the points.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runMain, ToolError } from './tools/process.mjs';

const width = 760;
const height = 400;
const margin = { left: 56, right: 190, top: 40, bottom: 48 };
// Told apart by those who see no red or green too (Okabe and Ito).
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#555555'];

const colourOf = (index) => colours[index % colours.length];

/** Steps and means of the model's evaluations in one run; chance beside them. */
function readRun(folder, measure, fromStep) {
  const lines = readFileSync(join(folder, 'metrics.jsonl'), 'utf8').trim().split('\n').map(JSON.parse);
  const evaluations = lines.filter(({ type, measures }) => type === 'evaluation' && measures[measure] !== undefined);
  const points = new Map(
    evaluations
      .filter(({ kind, step }) => kind !== 'baseline' && step >= fromStep)
      .map(({ step, measures }) => [step - fromStep, 100 * measures[measure].mean]),
  );
  if (points.size === 0) throw new ToolError(`${folder} has no evaluation of the model from step ${fromStep} on`);
  const chance = evaluations.find(({ kind, label }) => kind === 'baseline' && label === 'chance');
  return { points, chance: chance && 100 * chance.measures[measure].mean };
}

/** Of the steps that every run has: mean, least and greatest. */
function summarise(name, runs) {
  const steps = [...runs[0].points.keys()].filter((step) => runs.every(({ points }) => points.has(step)));
  const curve = steps.map((step) => {
    const values = runs.map(({ points }) => points.get(step));
    return {
      step,
      values,
      mean: values.reduce((sum, value) => sum + value, 0) / values.length,
      low: Math.min(...values),
      high: Math.max(...values),
    };
  });
  return { name, curve };
}

const escapeText = (text) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

function axes(x, y, lastStep, { samplesPerStep, measure, title, range }) {
  const text = (left, top, anchor, words) => `<text x="${left}" y="${top}" text-anchor="${anchor}">${words}</text>`;
  const [low, high] = range;
  const rows = [0, 0.2, 0.4, 0.6, 0.8, 1]
    .map((share) => low + share * (high - low))
    .map(
      (value) =>
        `<line x1="${x(0)}" x2="${x(lastStep)}" y1="${y(value)}" y2="${y(value)}" stroke="#ddd"/>` +
        text(x(0) - 8, y(value) + 4, 'end', value),
    );
  const columns = [0, 0.25, 0.5, 0.75, 1].map((share) =>
    text(x(lastStep * share), height - margin.bottom + 18, 'middle', Math.round(lastStep * share * samplesPerStep)),
  );
  const what = samplesPerStep === 1 ? 'steps' : 'samples';
  return [
    ...rows,
    ...columns,
    text(x(lastStep / 2), height - 10, 'middle', what),
    text(margin.left - 40, margin.top - 14, 'start', `${escapeText(measure)} x 100`),
    `<text x="${x(lastStep / 2)}" y="18" text-anchor="middle" font-weight="bold">${escapeText(title)}</text>`,
  ];
}

function drawBand({ curve }, index, x, y) {
  const forth = curve.map(({ step, high }) => `${x(step)},${y(high)}`);
  const back = curve.toReversed().map(({ step, low }) => `${x(step)},${y(low)}`);
  return `<polygon points="${[...forth, ...back].join(' ')}" fill="${colourOf(index)}" opacity="0.12"/>`;
}

function drawLine({ name, curve }, index, x, y, labelY) {
  const colour = colourOf(index);
  const line = curve.map(({ step, mean }) => `${x(step)},${y(mean)}`);
  return [
    `<polyline points="${line.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ...curve.map(({ step, mean }) => `<circle cx="${x(step)}" cy="${y(mean)}" r="2.5" fill="${colour}"/>`),
    `<text x="${width - margin.right + 12}" y="${labelY}" fill="${colour}">${escapeText(name)}</text>`,
  ];
}

/** Names stand at the height where their lines end, moved apart where they would touch. */
function labelHeights(variants, y) {
  const heights = variants.map(({ curve }) => y(curve.at(-1).mean) + 4);
  const order = heights.map((_, index) => index).sort((a, b) => heights[a] - heights[b]);
  order.forEach((index, place) => {
    if (place > 0) heights[index] = Math.max(heights[index], heights[order[place - 1]] + 15);
  });
  return heights;
}

function draw(variants, chance, form) {
  const [low, high] = form.range;
  const lastStep = Math.max(...variants.flatMap(({ curve }) => curve.map(({ step }) => step)));
  const round = (value) => Math.round(value * 10) / 10;
  const x = (step) => round(margin.left + ((width - margin.left - margin.right) * step) / lastStep);
  const y = (value) =>
    round(height - margin.bottom - ((height - margin.top - margin.bottom) * (value - low)) / (high - low));
  const heights = labelHeights(variants, y);
  const chanceLine =
    `<line x1="${x(0)}" x2="${x(lastStep)}" y1="${y(chance)}" y2="${y(chance)}" stroke="#333" stroke-dasharray="5 4"/>` +
    `<text x="${x(0) + 6}" y="${y(chance) - 5}" fill="#333">chance</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    ...axes(x, y, lastStep, form),
    chance === undefined || chance < low ? '' : chanceLine,
    ...variants.map((variant, index) => drawBand(variant, index, x, y)),
    ...variants.flatMap((variant, index) => drawLine(variant, index, x, y, heights[index])),
    '</svg>\n',
  ].join('\n');
}

function table(variants) {
  const number = (value) => value.toFixed(1);
  const rows = variants.map(({ name, curve }) => {
    const last = curve.at(-1);
    return `| ${name} | ${number(curve[0].mean)} | ${last.values.map(number).join(', ')} | ${number(last.mean)} |`;
  });
  return ['| | at the start | at the end, by seed | mean |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

await runMain(async (args) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      output: { type: 'string' },
      measure: { type: 'string', default: 'mrr' },
      'from-step': { type: 'string', default: '0' },
      'samples-per-step': { type: 'string', default: '1' },
      title: { type: 'string', default: 'Learning curves' },
      range: { type: 'string', default: '0,100' },
    },
  });
  if (values.output === undefined || positionals.length === 0)
    throw new ToolError('usage: --output FILE.svg NAME=RUN,RUN,...');
  const { measure, title } = values;
  const runs = positionals.map((argument) => {
    const [name, folders] = argument.split('=');
    if (!folders) throw new ToolError(`expected NAME=RUN,RUN,... and received ${argument}`);
    return { name, runs: folders.split(',').map((folder) => readRun(folder, measure, Number(values['from-step']))) };
  });
  const variants = runs.map(({ name, runs: own }) => summarise(name, own));
  const chances = runs
    .flatMap(({ runs: own }) => own.map(({ chance }) => chance))
    .filter((value) => value !== undefined);
  const chance = chances.length === 0 ? undefined : chances.reduce((sum, value) => sum + value, 0) / chances.length;
  writeFileSync(
    values.output,
    draw(variants, chance, {
      samplesPerStep: Number(values['samples-per-step']),
      measure,
      title,
      range: values.range.split(',').map(Number),
    }),
  );
  console.log(table(variants));
});
