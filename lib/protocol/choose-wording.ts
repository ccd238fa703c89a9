import { WinnowError } from '../errors.js';
import { type CompactName, compactWording, labelWording } from './label-wording.js';
import type { Wording } from './wording.js';

/** The wordings that fit any task and any question. */
export type CommonWording = 'labels' | CompactName;

export const commonWordings: readonly CommonWording[] = ['labels', 'compact', 'compact-names', 'compact-phrases'];

/**
 * A wording by its name: one of the common ones, or one that the protocol adds.
 *
 * @throws WinnowError ERR_PROTOCOL_OPTION
 */
export function wordingNamed(name: string, own: Readonly<Record<string, () => Wording>> = {}): Wording {
  if (name === 'labels') return labelWording;
  if (name === 'compact' || name === 'compact-names' || name === 'compact-phrases') return compactWording(name);
  const make = Object.hasOwn(own, name) ? own[name] : undefined;
  if (make !== undefined) return make();
  throw new WinnowError('ERR_PROTOCOL_OPTION', 'there is no such wording', {
    expected: [...commonWordings, ...Object.keys(own)].join(', '),
    received: String(name),
  });
}

/** Throws when the reference's wording is asked for together with another. @throws WinnowError ERR_PROTOCOL_OPTION */
export function wordingOrCompat(
  options: { readonly wording?: string | undefined; readonly compat?: string | undefined },
  compat: string,
  make: () => Wording,
  own: Readonly<Record<string, () => Wording>> = {},
): Wording {
  if (options.compat === undefined) return wordingNamed(options.wording ?? 'labels', own);
  if (options.compat !== compat || options.wording !== undefined) {
    throw new WinnowError('ERR_PROTOCOL_OPTION', 'the prompt wording cannot be chosen', {
      expected: `either wording or compat: '${compat}'`,
      received: JSON.stringify({ wording: options.wording, compat: options.compat }),
    });
  }
  return make();
}
