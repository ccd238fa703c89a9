/** The rotary embedding's part of `config.json`: `rope_theta` + `rope_scaling` (transformers 4) or `rope_parameters` (5). */
import { WinnowError } from '../errors.js';
import type { NativeModelConfig } from './addon-types.js';
import { describeValue } from './checks.js';

export type RopeConfig = Pick<
  NativeModelConfig,
  'ropeTheta' | 'ropeScaling' | 'ropeFactor' | 'ropeLowFrequency' | 'ropeHighFrequency' | 'ropeOriginalPositions'
>;

type Fields = Readonly<Record<string, unknown>>;

const defaultTheta = 10000;

// What each type reads; anything else in the object would change the result.
const fieldsOfType: Readonly<Record<string, readonly string[]>> = {
  default: [],
  linear: ['factor'],
  llama3: ['factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings'],
};
const commonFields = ['rope_type', 'type', 'rope_theta', 'partial_rotary_factor'];

function unsupported(field: string, expected: string, value: unknown): WinnowError {
  return new WinnowError('ERR_MODEL_UNSUPPORTED', `config.json: ${field} is not supported`, {
    expected,
    received: describeValue(value),
  });
}

function positive(fields: Fields, field: string, where: string): number {
  const value = fields[field];
  if (typeof value === 'number' && value > 0 && Number.isFinite(value)) return value;
  throw new WinnowError('ERR_MODEL_CONFIG', `config.json: ${where}.${field} does not fit`, {
    expected: 'a positive number',
    received: describeValue(value),
  });
}

function readTheta(raw: Fields, fields: Fields, where: string): number {
  const top = raw.rope_theta ?? undefined;
  const inner = fields.rope_theta ?? undefined;
  if (top !== undefined && inner !== undefined && top !== inner)
    throw unsupported(`rope_theta beside ${where}.rope_theta`, `${describeValue(inner)} in both`, top);
  if (inner !== undefined) return positive(fields, 'rope_theta', where);
  return top === undefined ? defaultTheta : positive(raw, 'rope_theta', 'top level');
}

function readFields(raw: Fields): { where: string; fields: Fields } {
  const where = raw.rope_parameters != null ? 'rope_parameters' : 'rope_scaling';
  const value = raw[where] ?? {};
  if (typeof value !== 'object' || Array.isArray(value)) throw unsupported(where, 'an object or null', value);
  return { where, fields: value as Fields };
}

/** @throws WinnowError ERR_MODEL_UNSUPPORTED, ERR_MODEL_CONFIG */
export function readRope(raw: Fields): RopeConfig {
  const { where, fields } = readFields(raw);
  const type = fields.rope_type ?? fields.type ?? 'default';
  const own = typeof type === 'string' && Object.hasOwn(fieldsOfType, type) ? fieldsOfType[type] : undefined;
  if (own === undefined) throw unsupported(`${where}.rope_type`, Object.keys(fieldsOfType).join(', '), type);
  const partial = fields.partial_rotary_factor ?? 1;
  if (partial !== 1) throw unsupported(`${where}.partial_rotary_factor`, 'absent or 1', partial);
  for (const field of Object.keys(fields)) {
    if (!own.includes(field) && !commonFields.includes(field) && fields[field] != null)
      throw unsupported(`${where}.${field}`, `absent for rope type ${type}`, fields[field]);
  }
  const llama3 = type === 'llama3';
  return {
    ropeTheta: readTheta(raw, fields, where),
    ropeScaling: type === 'default' ? 'none' : (type as 'linear' | 'llama3'),
    ropeFactor: type === 'default' ? 1 : positive(fields, 'factor', where),
    ropeLowFrequency: llama3 ? positive(fields, 'low_freq_factor', where) : 1,
    ropeHighFrequency: llama3 ? positive(fields, 'high_freq_factor', where) : 4,
    ropeOriginalPositions: llama3 ? positive(fields, 'original_max_position_embeddings', where) : 0,
  };
}

/** The layout of transformers 4, which 5 reads too. */
export function writeRope(config: RopeConfig): Record<string, unknown> {
  const scaling = {
    none: null,
    linear: { rope_type: 'linear', factor: config.ropeFactor },
    llama3: {
      rope_type: 'llama3',
      factor: config.ropeFactor,
      low_freq_factor: config.ropeLowFrequency,
      high_freq_factor: config.ropeHighFrequency,
      original_max_position_embeddings: config.ropeOriginalPositions,
    },
  }[config.ropeScaling];
  return { rope_theta: config.ropeTheta, rope_scaling: scaling };
}
