import type { Completion, MalformedReason } from '../types.js';

/** A completion taken apart, before anybody asks what its answer names. */
export type ParsedFormat =
  | { readonly ok: true; readonly thought: string; readonly answer: string }
  | {
      readonly ok: false;
      readonly reason: MalformedReason;
      readonly detail: string;
      readonly format: { readonly think: boolean; readonly answer: boolean };
    };

const count = (text: string, piece: string): number => text.split(piece).length - 1;

/**
 * The strict format, read from the completion alone: the prompt ends in `<think>`, so the completion is a thought, one
 * `</think>`, one `<answer>X</answer>`, and nothing more; white space between them is free. The thought may not open or answer
 * anything itself. `answer` is trimmed and may be empty.
 */
export function parseFormat(completion: Pick<Completion, 'text' | 'stop'>): ParsedFormat {
  const { text, stop } = completion;
  const closes = count(text, '</think>');
  const think = closes === 1 && !text.includes('<think>');
  const afterThought = closes === 0 ? text : text.slice(text.indexOf('</think>') + '</think>'.length);
  const tagged = /<answer>([\s\S]*?)<\/answer>/.exec(afterThought);
  const answers = Math.max(count(text, '<answer>'), count(text, '</answer>'));
  const between = tagged ? afterThought.slice(0, tagged.index) : '';
  const trailing = tagged ? afterThought.slice(tagged.index + tagged[0].length) : '';
  // Without a closed thought the answer tags may still be right; the reward scores the two apart.
  const tidy = trailing.trim() === '' && (closes === 0 || between.trim() === '');
  const answer = tagged !== null && answers === 1 && tidy;
  const fail = (reason: MalformedReason, detail: string): ParsedFormat => ({
    ok: false,
    reason,
    detail,
    format: { think, answer },
  });
  if (text.trim() === '') return fail('empty', 'the completion has no text');
  const cutOff = stop === 'length' || stop === 'context';
  if (cutOff && !(think && answer)) return fail('truncated', `cut off by ${stop} after ${text.length} characters`);
  if (!think) return fail('no_think', `</think> ${closes} times${text.includes('<think>') ? ', <think> inside' : ''}`);
  if (answers > 1) return fail('several_answers', `answer tags ${answers} times`);
  if (tagged === null) return fail('no_answer', 'no <answer>...</answer> after the thought');
  if (!answer) return fail('trailing_text', JSON.stringify((between.trim() || trailing.trim()).slice(0, 60)));
  return { ok: true, thought: text.slice(0, text.indexOf('</think>')).trim(), answer: (tagged[1] as string).trim() };
}
