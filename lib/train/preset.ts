/** Settings on top of a preset: `preset: NAME`, or `preset: {name, without}`. */
import * as z from 'zod';
import { WinnowError } from '../errors.js';
import { nearest } from './nearest.js';
import { kPresets, type Preset, type PresetName, presetNames } from './presets.js';

/** `without`: needs of the preset that the run shall do without. */
export const PresetSchema = z.union([
  z.enum(presetNames),
  z.strictObject({ name: z.enum(presetNames), without: z.array(z.string()).default([]) }),
]);

export type PresetChoice = z.input<typeof PresetSchema>;

/**
 * `settings` with what they leave open taken from their preset, if they name one. Maps are joined; everything else, lists too,
 * is replaced; null takes away.
 *
 * @throws WinnowError ERR_PRESET_UNKNOWN, ERR_PRESET_UNSUPPORTED when this version cannot do what the preset needs
 */
export function withPreset(settings: unknown): unknown {
  if (!isMap(settings) || settings.preset === undefined) return settings;
  const { preset: choice, ...own } = settings;
  const { name, without } = readChoice(choice);
  const preset: Preset = kPresets[name];
  const missing = preset.needs.filter(({ name: need, waivable }) => !(waivable && without.includes(need)));
  if (missing.length > 0) throw unsupported(name, missing);
  const waived = preset.needs.map(
    ({ what }) => `Unlike preset ${name}, this run does without ${what}: all weights are trained.`,
  );
  const notes = [...(preset.settings.notes ?? []), ...waived];
  return join({ ...structuredClone(preset.settings), notes }, own);
}

function readChoice(choice: unknown): { name: PresetName; without: readonly string[] } {
  const parsed = PresetSchema.safeParse(choice);
  if (parsed.success) return typeof parsed.data === 'string' ? { name: parsed.data, without: [] } : parsed.data;
  const given = String(isMap(choice) ? choice.name : choice);
  const near = nearest(given, presetNames);
  throw new WinnowError('ERR_PRESET_UNKNOWN', 'there is no such preset', {
    expected: presetNames.join(', '),
    received: JSON.stringify(choice),
    ...(near === undefined ? {} : { hint: `did you mean ${near}?` }),
  });
}

function unsupported(name: string, missing: Preset['needs']): WinnowError {
  const waivable = missing.every((need) => need.waivable);
  const names = missing.map((need) => need.name);
  return new WinnowError('ERR_PRESET_UNSUPPORTED', `preset ${name} needs what this version cannot do`, {
    expected: missing.map(({ what }) => what).join('; '),
    hint: waivable
      ? `to train all weights with its other settings: preset: { name: ${name}, without: [${names.join(', ')}] }, or --without ${names.join(' --without ')}`
      : 'its numbers, with their sources, are in lib/train/presets.ts and docs/presets.md',
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
