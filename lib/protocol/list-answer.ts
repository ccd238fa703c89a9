/** Reading an answer that lists candidates: lines, commas, `[2] > [1]` chains and JSON arrays. */
import type { Answer, Prompt } from '../types.js';
import { bareLabel } from './labels.js';
import { resolveName } from './names.js';

/** What an answer lists: known candidates, each once, in the order of their first mention, and what else was there. */
export interface ReadList {
  readonly ids: readonly string[];
  readonly duplicates: number;
  /** Pieces that name no candidate shown, as written. */
  readonly unknown: readonly string[];
}

/** A JSON array of strings or numbers, its items as texts; undefined for anything else. `[2]` is one, and reads as a label too. */
function jsonItems(text: string): string[] | undefined {
  if (!/^\[[\s\S]*\]$/.test(text)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const plain = (item: unknown): item is string | number => typeof item === 'string' || typeof item === 'number';
  return Array.isArray(value) && value.every(plain) ? value.map(String) : undefined;
}

const withoutBullet = (piece: string): string => piece.replace(/^\s*(?:\d{1,4}[.)]|[-*•])\s+(?=\S)/u, '');
const withoutQuotes = (piece: string): string => piece.replace(/^(["'`])(.*)\1$/s, '$2');

/** The pieces of a list of labels; no label holds a comma, a `>` or a line break. `[A] [B]` is two. */
function labelPieces(text: string): string[] {
  return text
    .split(/[\n,;>]/)
    .map((piece) => withoutBullet(piece).trim())
    .filter((piece) => piece !== '')
    .flatMap((piece) => (/^(?:\[[^[\]]*\]\s*){2,}$/.test(piece) ? (piece.match(/\[[^[\]]*\]/g) as string[]) : [piece]));
}

/** Cuts at a separator only where whole names come out, each as long as possible. */
function cutAt(separator: string, line: string, shown: readonly string[]): string[] {
  const parts = line.split(separator);
  const pieces: string[] = [];
  for (let from = 0; from < parts.length; ) {
    let to = parts.length;
    while (to > from + 1 && resolveName(parts.slice(from, to).join(separator), shown).kind === 'unknown') to--;
    pieces.push(parts.slice(from, to).join(separator).trim());
    from = to;
  }
  return pieces;
}

/** Names may hold commas and `>`: a line is one name, or a chain, or has commas, whichever leaves the least unknown. */
function namePieces(line: string, shown: readonly string[]): string[] {
  const unknownIn = (pieces: readonly string[]): number =>
    pieces.filter((piece) => resolveName(piece, shown).kind === 'unknown').length;
  const readings = [[line], cutAt(' > ', line, shown), cutAt(',', line, shown)];
  return readings.reduce((best, reading) => (unknownIn(reading) < unknownIn(best) ? reading : best));
}

/**
 * @param labelled whether the prompt shows labels, which are matched exactly, or names, which are resolved by equality
 */
export function readList(text: string, prompt: Pick<Prompt, 'labels'>, labelled: boolean): ReadList {
  const shown = [...prompt.labels.keys()];
  const trimmed = text.trim();
  const items = jsonItems(trimmed);
  const lines = trimmed.split('\n').filter((line) => line.trim() !== '');
  const pieces = items ?? (labelled ? labelPieces(trimmed) : lines.flatMap((line) => namePieces(line, shown)));
  const ids: string[] = [];
  const unknown: string[] = [];
  let duplicates = 0;
  for (const piece of pieces) {
    const id = labelled ? prompt.labels.get(bareLabel(withoutQuotes(piece))) : nameOf(piece, shown, prompt);
    if (id === undefined) unknown.push(piece);
    else if (ids.includes(id)) duplicates++;
    else ids.push(id);
  }
  return { ids, duplicates, unknown };
}

function nameOf(piece: string, shown: readonly string[], prompt: Pick<Prompt, 'labels'>): string | undefined {
  for (const written of [piece, withoutBullet(piece)]) {
    const resolution = resolveName(written, shown);
    if (resolution.kind === 'found') return prompt.labels.get(resolution.name);
  }
  return undefined;
}

/** An answer that must name exactly `count` different candidates. What is wrong decides the reason: unknown, twice, too few or many. */
export function listAnswer(list: ReadList, count: number, thought: string): Answer {
  const { ids, duplicates, unknown } = list;
  if (unknown.length === 0 && duplicates === 0 && ids.length === count) return { ok: true, ids, thought };
  const fail = (reason: Extract<Answer, { ok: false }>['reason'], detail: string): Answer => ({
    ok: false,
    reason,
    detail,
    format: { think: true, answer: true },
    list: { ids, duplicates, unknown: unknown.length },
  });
  if (unknown.length > 0) return fail('unknown_candidate', JSON.stringify((unknown[0] as string).slice(0, 80)));
  if (duplicates > 0) return fail('duplicate_candidate', `${duplicates} named again`);
  return fail('incomplete_list', `${ids.length} of ${count} candidates`);
}
