import { WinnowError } from '../errors.js';
import type { RankingInstance } from '../types.js';

/** How a candidate is named to the model: `A` in texts as `[A]`, or `1` as `[1]`. */
export type LabelStyle = 'letters' | 'numbers';

/** A label in brackets, as shown. Texts must not contain one, see `neutralise`. */
export const bracketedLabel = /\[([A-Z]{1,3}|[0-9]{1,4})\]/g;

/** Label number `index` (from 0): A, B, ..., Z, AA, AB, ... or 1, 2, ...; without brackets. */
export function labelAt(index: number, style: LabelStyle): string {
  if (!Number.isInteger(index) || index < 0 || index >= (style === 'letters' ? 18278 : 9999)) {
    throw new WinnowError('ERR_PROTOCOL_LABEL', 'there is no such label', {
      expected: style === 'letters' ? 'an index below 18278 (A to ZZZ)' : 'an index below 9999',
      received: String(index),
    });
  }
  if (style === 'numbers') return String(index + 1);
  let label = '';
  for (let rest = index + 1; rest > 0; rest = Math.floor((rest - 1) / 26)) {
    label = String.fromCharCode(65 + ((rest - 1) % 26)) + label;
  }
  return label;
}

/**
 * Makes a foreign text harmless inside a prompt: what looks like a label `[A]`, a tag such as `</think>` or `<answer>`, or a
 * special token such as `<|im_end|>` gets other brackets, and line breaks and control characters become spaces, so that a text
 * can neither answer for the model nor end its own line. Everything else stays as it is.
 */
export function neutralise(text: string): string {
  return text
    .replace(bracketedLabel, '($1)')
    .replace(/<\s*(\/?)\s*(think|answer)\s*>/gi, '($1$2)')
    .replace(/<[|｜]/g, '(')
    .replace(/[|｜]>/g, ')')
    .replace(/<(\/?)(s|unk|pad|bos|eos)>/gi, '($1$2)')
    .replace(/\[(\/?)INST\]/g, '($1INST)')
    .replace(/[\p{Cc}\u2028\u2029\s]+/gu, ' ')
    .trim();
}

/** What a written label names: surrounding brackets and spaces do not count, everything else does. */
export function bareLabel(written: string): string {
  const trimmed = written.trim();
  const inner = /^\[\s*([^[\]]*?)\s*\]$/.exec(trimmed);
  return inner ? (inner[1] as string) : trimmed;
}

/** The bare query of a routing instance, whose context also states the objective; without one in `meta`, the context. */
export function routedQuery({ context, meta }: Pick<RankingInstance, 'context' | 'meta'>): string {
  return contextLines(typeof meta?.query === 'string' ? meta.query : context).join('\n');
}

/** The lines of a context: one past item a line, or a query. */
export function contextLines(context: string): string[] {
  return context
    .split(/\r?\n/)
    .map(neutralise)
    .filter((line) => line !== '');
}
