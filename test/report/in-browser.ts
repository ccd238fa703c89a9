/** A page in headless Chromium: what it holds after its scripts have run, and how it looks. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';

/** Undefined where there is none. */
export const browser = ['chromium', 'chromium-browser', 'google-chrome'].find(
  (name) => spawnSync(name, ['--version'], { timeout: 20_000 }).status === 0,
);
if (browser === undefined) console.log('skipped: no Chromium for the report in a browser');

const folder = mkdtempSync(join(tmpdir(), 'winnow-browser-'));

export function chromium(page: string, options: readonly string[]) {
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
export function inPage(page: string, actions: string, width = 1280): unknown {
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
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
  return JSON.parse(found ?? 'null');
}

/** The path of a PNG. */
export function photograph(page: string, [width, height]: readonly [number, number]): string {
  const picture = join(folder, 'page.png');
  chromium(page, [`--window-size=${width},${height}`, `--screenshot=${picture}`]);
  return picture;
}
