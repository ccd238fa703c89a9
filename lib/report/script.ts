/** The behaviour of the report: values under the pointer, and paging through samples. Everything else is there without it. */
import { kPager } from './page.js';

export const kScript = `${kPager}
(() => {
  const left = 54, right = 510;
  for (const figure of document.querySelectorAll('figure[data-plot]')) {
    const plot = JSON.parse(figure.dataset.plot);
    const svg = figure.querySelector('svg'), cursor = figure.querySelector('.cursor'), output = figure.querySelector('output');
    svg.addEventListener('pointermove', (event) => {
      const box = svg.getBoundingClientRect();
      const at = ((event.clientX - box.left) / box.width) * 520;
      const [low, high] = plot.x;
      const x = low + ((at - left) / (right - left)) * (high - low);
      const nearest = (points) => points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));
      const found = plot.series.filter((one) => one.points.length > 0).map((one) => [one.label, nearest(one.points)]);
      if (found.length === 0) return;
      const step = found[0][1][0];
      const position = left + ((step - low) / (high - low || 1)) * (right - left);
      cursor.setAttribute('x1', position);
      cursor.setAttribute('x2', position);
      output.textContent = 'step ' + step + ': ' + found.map(([label, point]) => (found.length > 1 ? label + ' ' : '') + short(point[1])).join(', ');
    });
    svg.addEventListener('pointerleave', () => {
      cursor.setAttribute('x1', -9);
      cursor.setAttribute('x2', -9);
      output.textContent = '';
    });
  }
  pager('samples', 'last', (sample, body) => {
    body.append(make('pre', 'prompt', sample.prompt));
    for (const one of sample.completions) {
      const block = make('div', 'completion'), meta = make('div', 'meta');
      meta.append(make('span', 'tag ' + (one.outcome === 'ok' ? 'ok' : 'bad'), one.outcome.replaceAll('_', ' ')));
      meta.append(make('span', '', 'reward ' + short(one.reward)), make('span', '', 'advantage ' + short(one.advantage)));
      for (const [name, value] of Object.entries(one.parts)) meta.append(make('span', '', name + ' ' + short(value)));
      meta.append(make('span', '', one.tokens + ' tokens'), make('span', '', one.stop.replaceAll('_', ' ')));
      block.append(meta, make('pre', '', one.text));
      body.append(block);
    }
    return ['step ' + sample.step, sample.stage, sample.instance];
  });
})();
`;

/** A page of a run that goes on loads itself anew, unless somebody is using it. */
export const kReload = `
(() => {
  const every = 20000;
  let used = 0;
  for (const name of ['pointermove', 'pointerdown', 'keydown', 'wheel', 'touchstart']) {
    addEventListener(name, () => { used = Date.now(); }, { passive: true });
  }
  setInterval(() => {
    const selecting = String(getSelection()) !== '';
    if (!document.hidden && !selecting && Date.now() - used > every) location.reload();
  }, every);
})();
`;
