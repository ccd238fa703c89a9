/** The frame of every page: one file that needs nothing else and may ask for nothing. */
import { escapeHtml } from './escape.js';
import { kStyle } from './style.js';

/** `body` and `script` are trusted: whatever came from outside is escaped in them. */
export function renderPage({ title, body, script }: { title: string; body: string; script: string }): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title><style>${kStyle}</style></head><body><main>
${body}
</main><script>${script}</script></body></html>
`;
}

/** Buttons and a place for what is paged through; `kPager` makes them work on the JSON of `data`. */
export function pagedSection(id: string, { data, without }: { data: string; without: string }): string {
  return `<section class="panel samples" id="${id}" tabindex="0">
<div class="pager"><button>First</button><button>Previous</button><button>Next</button><button>Last</button><output></output></div>
<div class="body"><noscript>${without}</noscript></div>
<script type="application/json" id="${id}-data">${data}</script></section>`;
}

/**
 * `pager(id, begin, render)`: buttons and arrow keys over the data of the section; `render(one, body)` fills the body and returns
 * the line beside the buttons. The place is kept in the address, so that it survives a reload.
 */
export const kPager = `
const short = (value) => {
  const size = Math.abs(value);
  return value === 0 ? '0' : size < 1e-4 || size >= 1e6 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
};
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const pager = (id, begin, render) => {
  const root = document.getElementById(id);
  if (!root) return;
  const all = JSON.parse(document.getElementById(id + '-data').textContent);
  const body = root.querySelector('.body'), where = root.querySelector('output');
  const [first, back, next, last] = root.querySelectorAll('button');
  const home = begin === 'last' ? all.length - 1 : 0;
  const kept = Number(location.hash.replace('#sample-', ''));
  let index = kept >= 1 && kept <= all.length ? kept - 1 : home;
  const show = () => {
    body.replaceChildren();
    where.textContent = [index + 1 + ' of ' + all.length, ...render(all[index], body)].join('  ·  ');
    first.disabled = back.disabled = index === 0;
    next.disabled = last.disabled = index === all.length - 1;
  };
  const go = (to) => {
    index = Math.max(0, Math.min(all.length - 1, to));
    history.replaceState(null, '', index === home ? ' ' : '#sample-' + (index + 1));
    show();
  };
  first.onclick = () => go(0);
  back.onclick = () => go(index - 1);
  next.onclick = () => go(index + 1);
  last.onclick = () => go(all.length - 1);
  root.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowLeft') go(index - 1);
    if (event.key === 'ArrowRight') go(index + 1);
  });
  show();
};
`;
