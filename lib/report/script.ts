/** The behaviour of the report: values under the pointer, and paging through samples. Everything else is there without it. */
export const kScript = `
(() => {
  const left = 54, right = 510;
  const short = (value) => {
    const size = Math.abs(value);
    return value === 0 ? '0' : size < 1e-4 || size >= 1e6 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  };
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
  const root = document.getElementById('samples');
  if (!root) return;
  const samples = JSON.parse(document.getElementById('sample-data').textContent);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const body = root.querySelector('.body'), where = root.querySelector('output');
  const [first, back, next, last] = root.querySelectorAll('button');
  // The place is kept in the address, so that it survives a reload; from the newest, it moves on with the run.
  const kept = Number(location.hash.replace('#sample-', ''));
  let index = kept >= 1 && kept <= samples.length ? kept - 1 : samples.length - 1;
  const show = () => {
    const sample = samples[index];
    where.textContent = (index + 1) + ' of ' + samples.length + '  ·  step ' + sample.step + '  ·  ' + sample.stage + '  ·  ' + sample.instance;
    const parts = [make('pre', 'prompt', sample.prompt)];
    for (const one of sample.completions) {
      const block = make('div', 'completion'), meta = make('div', 'meta');
      meta.append(make('span', 'tag ' + (one.outcome === 'ok' ? 'ok' : 'bad'), one.outcome.replaceAll('_', ' ')));
      meta.append(make('span', '', 'reward ' + short(one.reward)), make('span', '', 'advantage ' + short(one.advantage)));
      for (const [name, value] of Object.entries(one.parts)) meta.append(make('span', '', name + ' ' + short(value)));
      meta.append(make('span', '', one.tokens + ' tokens'), make('span', '', one.stop.replaceAll('_', ' ')));
      block.append(meta, make('pre', '', one.text));
      parts.push(block);
    }
    body.replaceChildren(...parts);
    first.disabled = back.disabled = index === 0;
    next.disabled = last.disabled = index === samples.length - 1;
  };
  const go = (to) => {
    index = Math.max(0, Math.min(samples.length - 1, to));
    history.replaceState(null, '', index === samples.length - 1 ? ' ' : '#sample-' + (index + 1));
    show();
  };
  first.onclick = () => go(0);
  back.onclick = () => go(index - 1);
  next.onclick = () => go(index + 1);
  last.onclick = () => go(samples.length - 1);
  root.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowLeft') go(index - 1);
    if (event.key === 'ArrowRight') go(index + 1);
  });
  show();
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
