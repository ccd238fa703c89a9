/** Settings on top of a preset: `preset: NAME`. */
import * as z from 'zod';
import { WinnowError } from '../errors.js';
import { nearest } from './nearest.js';
import { kPresets, type Preset, type PresetName, presetNames } from './presets.js';

export const PresetSchema = z.enum(presetNames);

/**
 * `settings` with what they leave open taken from their preset, if they name one. Maps are joined; everything else, lists too,
 * is replaced; null takes away.
 *
 * @throws WinnowError ERR_PRESET_UNKNOWN
 */
export function withPreset(settings: unknown): unknown {
  if (!isMap(settings) || settings.preset === undefined) return settings;
  const { preset: choice, ...own } = settings;
  const preset: Preset = kPresets[readName(choice)];
  return join(structuredClone(preset.settings), own);
}

function readName(choice: unknown): PresetName {
  const parsed = PresetSchema.safeParse(choice);
  if (parsed.success) return parsed.data;
  const near = nearest(String(choice), presetNames);
  throw new WinnowError('ERR_PRESET_UNKNOWN', 'there is no such preset', {
    expected: presetNames.join(', '),
    received: JSON.stringify(choice),
    ...(near === undefined ? {} : { hint: `did you mean ${near}?` }),
  });
}

function join(base: unknown, over: unknown): unknown {
  if (!isMap(base) || !isMap(over)) return over;
  const joined: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    if (value === null) delete joined[key];
    else joined[key] = Object.hasOwn(base, key) ? join(base[key], value) : value;
  }
  return joined;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
