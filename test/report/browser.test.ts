/** The report in a real browser: nothing fails, nothing is fetched, nothing runs over, and paging works. Skipped without Chromium. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { renderReport } from '../../lib/report/html.js';
import { longRun } from './long-run.js';

const browser = ['chromium', 'chromium-browser', 'google-chrome'].find(
  (name) => spawnSync(name, ['--version'], { timeout: 20_000 }).status === 0,
);
if (browser === undefined) console.log('skipped: no Chromium for the report in a browser');

const folder = mkdtempSync(join(tmpdir(), 'winnow-browser-'));

function chromium(page: string, options: readonly string[]) {
  const path = join(folder, 'report.html');
  writeFileSync(path, page);
  const always = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--hide-scrollbars',
    `--user-data-dir=${folder}/profile`,
  ];
  const result = spawnSync(browser as string, [...always, '--virtual-time-budget=3000', ...options, `file://${path}`], {
    encoding: 'utf8',
    timeout: 60_000,
    maxBuffer: 2 ** 26,
  });
  expect(result.status, result.stderr).toBe(0);
  return result.stdout;
}

/** What goes wrong before the page's own scripts run is caught too. */
const kWatch = `<script>window.faults = [];
addEventListener('error', (event) => faults.push(event.message));
addEventListener('securitypolicyviolation', (event) => faults.push(event.violatedDirective + ' ' + event.blockedURI));</script>`;

/** Runs `actions` in the loaded page, and returns what they yield. */
function inPage(page: string, actions: string, width = 1280): unknown {
  const probe = `<script>addEventListener('load', () => {
  const result = (() => { try { ${actions} } catch (error) { return String(error); } })();
  document.body.innerHTML = '';
  document.body.dataset.result = JSON.stringify({ result, faults });
});</script>`;
  const html = page.replace('<title>', () => `${kWatch}<title>`).replace('</body>', () => `${probe}</body>`);
  const dom = chromium(html, [`--window-size=${width},900`, '--dump-dom']);
  const found = dom
    .match(/data-result="([^"]*)"/)?.[1]
    ?.replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&');
  return JSON.parse(found ?? 'null');
}

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
    const picture = join(folder, 'report.png');
    chromium(renderReport(longRun()), ['--window-size=1280,4500', `--screenshot=${picture}`]);
    const bytes = readFileSync(picture);
    expect(bytes.subarray(1, 4).toString()).toBe('PNG');
    expect([bytes.readUInt32BE(16), bytes.readUInt32BE(20)]).toEqual([1280, 4500]);
    expect(bytes.length).toBeGreaterThan(50_000);
    const keep = process.env.WINNOW_SCREENSHOT;
    if (keep !== undefined) writeFileSync(keep, bytes);
  });
});
