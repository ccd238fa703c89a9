/** What a name resolves to among the names shown. */
export type Resolution =
  | { readonly kind: 'found'; readonly name: string }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'ambiguous'; readonly names: readonly string[] };

const namedEntities: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
};

function decodeEntities(text: string): string {
  return text.replace(/&(#x[0-9a-f]{1,6}|#[0-9]{1,7}|[a-z]{2,4});/gi, (whole, body: string) => {
    if (!body.startsWith('#')) return namedEntities[body.toLowerCase()] ?? whole;
    const code = /^#x/i.test(body) ? Number.parseInt(body.slice(2), 16) : Number.parseInt(body.slice(1), 10);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/**
 * The form in which two spellings of one name are equal: HTML entities decoded, NFKC, lower case, white space collapsed,
 * quotes around it and closing punctuation dropped.
 */
export function normaliseName(name: string): string {
  const plain = decodeEntities(name).normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim();
  const stripped = plain.replace(/^["'`“”‘’«]+/, '').replace(/["'`“”‘’»\s.,;:!?…]+$/u, '');
  // A name that is nothing but punctuation ("...", "?") keeps it.
  return stripped === '' ? plain : stripped;
}

/** Without a list index in front: "3. Title" or "3) Title" -> "Title". */
function withoutIndex(name: string): string {
  return name.replace(/^\s*\d{1,4}[.)]\s+/, '');
}

/**
 * Resolves a written name by equality: first exact, then normalised, then normalised without a leading list index. It never
 * guesses from a part of a name, so "Heat" does not name "Dead Heat" and an empty answer names nothing.
 */
export function resolveName(written: string, shown: readonly string[]): Resolution {
  const trimmed = written.trim();
  if (trimmed === '') return { kind: 'unknown' };
  if (shown.includes(trimmed)) return { kind: 'found', name: trimmed };
  const bare = normaliseName(trimmed);
  const equal = shown.filter((name) => normaliseName(name) === bare);
  const unindexed = normaliseName(withoutIndex(trimmed));
  const matches = equal.length > 0 ? equal : shown.filter((name) => normaliseName(name) === unindexed);
  if (matches.length === 0) return { kind: 'unknown' };
  if (matches.length > 1) return { kind: 'ambiguous', names: matches };
  return { kind: 'found', name: matches[0] as string };
}
