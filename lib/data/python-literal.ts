const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '0': '\0',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\n': '',
};

/** One string literal that begins at `start`: its value, and the place after it; undefined when there is none. */
function readString(text: string, start: number): { value: string; end: number } | undefined {
  const quote = text[start];
  if (quote !== "'" && quote !== '"') return undefined;
  let value = '';
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at] as string;
    if (character === quote) return { value, end: at + 1 };
    if (character !== '\\') {
      value += character;
      continue;
    }
    at++;
    const next = text[at] ?? '';
    const width = { x: 2, u: 4, U: 8 }[next];
    const digits = width === undefined ? '' : text.slice(at + 1, at + 1 + width);
    if (width !== undefined && new RegExp(`^[0-9a-fA-F]{${width}}$`).test(digits)) {
      const code = Number.parseInt(digits, 16);
      if (code > 0x10ffff) return undefined;
      value += String.fromCodePoint(code);
      at += width;
    } else {
      value += escapes[next] ?? (next === '\\' || next === "'" || next === '"' ? next : `\\${next}`);
    }
  }
  return undefined;
}

/** Reads what Python's `repr` writes for a list of strings, `['a', "b's"]`; undefined for any other text. */
export function parsePythonStrings(text: string): string[] | undefined {
  const trimmed = text.trim();
  if (!trimmed.startsWith('[') || !trimmed.endsWith(']')) return undefined;
  const values: string[] = [];
  let at = 1;
  const skipSpaces = (): void => {
    while (/\s/.test(trimmed[at] ?? '')) at++;
  };
  skipSpaces();
  while (trimmed[at] !== ']') {
    const item = readString(trimmed, at);
    if (!item) return undefined;
    values.push(item.value);
    at = item.end;
    skipSpaces();
    if (trimmed[at] === ',') at++;
    else if (trimmed[at] !== ']') return undefined;
    skipSpaces();
  }
  return at === trimmed.length - 1 ? values : undefined;
}
