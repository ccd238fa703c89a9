/** Checks and completes settings: every key is known, every value possible, and nothing contradicts itself. */
import * as z from 'zod';
import { WinnowError } from '../errors.js';
import { findContradiction } from './config-contradictions.js';
import { type ResolvedConfig, TrainConfigSchema } from './config-schema.js';
import { nearest } from './nearest.js';
import { withPreset } from './preset.js';

export type * from './config-schema.js';

/** Says where in its source a setting stands, e.g. "line 12"; undefined when the source does not know. */
export type Locate = (path: readonly PropertyKey[]) => string | undefined;

/**
 * Checks and completes `settings`, on top of the preset that they may name. Throws ERR_PRESET_*, ERR_CONFIG_KEY,
 * ERR_CONFIG_VALUE or ERR_CONFIG (a contradiction).
 */
export function resolveConfig(settings: unknown, locate: Locate = () => undefined): ResolvedConfig {
  const config = withPreset(settings);
  const parsed = TrainConfigSchema.safeParse(config);
  if (!parsed.success) throw issueError(parsed.error.issues, config, locate);
  const contradiction = findContradiction(parsed.data);
  if (contradiction !== undefined) {
    const { path, what, hint } = contradiction;
    throw new WinnowError('ERR_CONFIG', `${describe(path, locate)}: ${what}`, { hint });
  }
  return parsed.data;
}

function issueError(issues: readonly z.core.$ZodIssue[], config: unknown, locate: Locate): WinnowError {
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? (issues[0] as z.core.$ZodIssue);
  if (issue.code === 'unrecognized_keys') {
    const path = [...issue.path, issue.keys[0] as string];
    const known = knownKeys(TrainConfigSchema, issue.path, config);
    const near = nearest(issue.keys[0] as string, known);
    return new WinnowError('ERR_CONFIG_KEY', `unknown key ${describe(path, locate)}`, {
      expected: near === undefined ? `one of ${known.join(', ')}` : `a known key`,
      received: String(issue.keys[0]),
      hint: near === undefined ? 'remove it' : `did you mean ${[...issue.path, near].join('.')}?`,
    });
  }
  const received = valueAt(config, issue.path);
  return new WinnowError('ERR_CONFIG_VALUE', `setting ${describe(issue.path, locate)} is not valid`, {
    expected: issue.message,
    received: received === undefined ? 'nothing' : JSON.stringify(received)?.slice(0, 80),
  });
}

function describe(path: readonly PropertyKey[], locate: Locate): string {
  const place = locate(path);
  return `${path.map(String).join('.') || 'at the top'}${place === undefined ? '' : ` (${place})`}`;
}

/** The keys that the schema allows at `path`; where the data chooses between forms (`kind`), those of the chosen one. */
function knownKeys(schema: z.core.$ZodType, path: readonly PropertyKey[], data: unknown): string[] {
  const inner = unwrap(schema, data);
  const [head, ...rest] = path;
  if (inner instanceof z.ZodObject) {
    if (head === undefined) return Object.keys(inner.shape);
    const next = inner.shape[String(head)];
    return next === undefined ? [] : knownKeys(next, rest, valueAt(data, [head]));
  }
  if (inner instanceof z.ZodArray && head !== undefined) return knownKeys(inner.element, rest, valueAt(data, [head]));
  return [];
}

function unwrap(schema: z.core.$ZodType, data: unknown): z.core.$ZodType {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodOptional) return unwrap(schema.unwrap(), data);
  if (schema instanceof z.ZodDiscriminatedUnion) {
    const { discriminator } = schema.def;
    const chosen = valueAt(data, [discriminator]);
    const options = schema.options as readonly z.ZodObject[];
    return options.find((option) => option.shape[discriminator]?.safeParse(chosen).success) ?? schema;
  }
  return schema;
}

function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  let value = data;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[key];
  return value;
}
