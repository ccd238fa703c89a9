/** The report in a real browser: nothing fails, nothing is fetched, nothing runs over, and paging works. Skipped without Chromium. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { renderReport } from '../../lib/report/html.js';
import { renderEvaluation } from '../../lib/report/index.js';
import { anEvaluation } from './an-evaluation.js';
import { browser, inPage, photograph } from './in-browser.js';
import { longRun } from './long-run.js';

describe.skipIf(browser === undefined)('the report in a browser', () => {
  it('shows every part, without an error and without asking for anything', () => {
    const seen = inPage(
      renderReport(longRun()),
      `return {
        charts: [...document.querySelectorAll('figure.chart strong')].map((one) => one.textContent),
        empty: [...document.querySelectorAll('polyline')].filter((one) => one.getBBox().width < 100).length,
        wide: document.documentElement.scrollWidth - innerWidth,
        outside: [...document.querySelectorAll('figure text')].filter((one) => {
          const box = one.getBBox();
          return box.x < -1 || box.x + box.width > 521;
        }).length,
        requests: performance.getEntriesByType('resource').length,
      };`,
    );
    expect(seen).toEqual({
      faults: [],
      result: {
        charts: [
          ...['Reward', 'Evaluation during training', 'Reward by task', 'Accuracy by task', 'Malformed and truncated'],
          ...['Groups without signal', 'Entropy', 'Completion length', 'KL to the reference', 'Clipped tokens'],
          ...['Sampler against trainer', 'Loss', 'Gradient norm', 'Learning rate', 'Time of a step by phase'],
          ...['Tokens per second', 'Model FLOPs utilisation'],
        ],
        ...{ empty: 0, wide: 0, outside: 0, requests: 0 },
      },
    });
  });

  it('pages through samples, and keeps the place in the address', () => {
    const seen = inPage(
      renderReport(longRun({ status: 'completed' })),
      `const [first, back, next, last] = document.querySelectorAll('#samples button');
      const where = () => document.querySelector('#samples output').textContent.split(' · ')[0].trim() + location.hash;
      const places = [where()];
      for (const button of [back, back, next, first, last]) { button.click(); places.push(where()); }
      document.querySelector('#samples').dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft' }));
      places.push(where());
      const svg = document.querySelector('figure.chart svg');
      const box = svg.getBoundingClientRect();
      svg.dispatchEvent(new PointerEvent('pointermove', { clientX: box.left + box.width / 2, clientY: box.top + 5 }));
      return { places, completions: document.querySelectorAll('.completion').length,
        pointed: document.querySelector('figure.chart output').textContent.startsWith('step ') };`,
    );
    const places = [
      '4 of 4',
      '3 of 4#sample-3',
      '2 of 4#sample-2',
      '3 of 4#sample-3',
      '1 of 4#sample-1',
      '4 of 4',
      '3 of 4#sample-3',
    ];
    expect(seen).toEqual({ faults: [], result: { places, completions: 2, pointed: true } });
  });

  it('fits a telephone', () => {
    expect(inPage(renderReport(longRun()), 'return document.documentElement.scrollWidth - innerWidth;', 500)).toEqual({
      ...{ faults: [], result: 0 },
    });
  });

  it('can be photographed', () => {
    const picture = photograph(renderReport(longRun()), [1280, 4500]);
    const bytes = readFileSync(picture);
    expect(bytes.subarray(1, 4).toString()).toBe('PNG');
    expect([bytes.readUInt32BE(16), bytes.readUInt32BE(20)]).toEqual([1280, 4500]);
    expect(bytes.length).toBeGreaterThan(50_000);
    const keep = process.env.WINNOW_SCREENSHOT;
    if (keep !== undefined) writeFileSync(keep, bytes);
  });
});

describe.skipIf(browser === undefined)('an evaluation in a browser', () => {
  it('shows every part, without an error and without asking for anything', () => {
    const seen = inPage(
      renderEvaluation(anEvaluation()),
      `return {
        parts: [...document.querySelectorAll('h2')].map((one) => one.textContent),
        rows: document.querySelectorAll('tbody tr').length,
        wide: document.documentElement.scrollWidth - innerWidth,
        requests: performance.getEntriesByType('resource').length,
      };`,
    );
    const parts = ['Measures', 'Exclusions by number of candidates shown', 'Malformed completions', 'Calls and tokens'];
    expect(seen).toEqual({
      faults: [],
      result: { parts: [...parts, 'Rankings to read'], rows: 3 + 3 + 3 + 4, wide: 0, requests: 0 },
    });
    expect(
      inPage(renderEvaluation(anEvaluation()), 'return document.documentElement.scrollWidth - innerWidth;', 500),
    ).toEqual({
      ...{ faults: [], result: 0 },
    });
  });

  it('pages through rankings and their calls, hostile texts as they are', () => {
    const seen = inPage(
      renderEvaluation(anEvaluation('</script><img src=x onerror="window.faults.push(1)">')),
      `const [first, back, next] = document.querySelectorAll('#rankings button');
      const look = () => [document.querySelector('#rankings output').textContent.split(' · ')[0].trim(),
        document.querySelectorAll('.completion').length, document.querySelectorAll('.order .relevant').length, first.disabled];
      const seen = [look()];
      next.click();
      seen.push(look());
      document.querySelector('#rankings').dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft' }));
      seen.push(look());
      return { seen, images: document.images.length, text: document.querySelector('.completion pre:last-child').textContent };`,
    );
    const text = '</script><img src=x onerror="window.faults.push(1)">';
    expect(seen).toEqual({
      faults: [],
      result: {
        seen: [
          ['1 of 2', 2, 1, true],
          ['2 of 2', 2, 1, false],
          ['1 of 2', 2, 1, true],
        ],
        ...{ images: 0, text },
      },
    });
  });

  it('can be photographed', () => {
    const bytes = readFileSync(photograph(renderEvaluation(anEvaluation()), [1280, 2000]));
    expect([bytes.readUInt32BE(16), bytes.readUInt32BE(20)]).toEqual([1280, 2000]);
    const keep = process.env.WINNOW_EVALUATION_SCREENSHOT;
    if (keep !== undefined) writeFileSync(keep, bytes);
  });
});
