/** The published schema: equal to the one that checks, and of the same mind about real files and wrong ones. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { trainConfigJsonSchema } from '../../lib/train/json-schema.js';
import { makeConfig } from './fake-run.js';
import { withComments } from './schema-comments.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

type Schema = { readonly [key: string]: unknown };

/** The keywords that the published schema uses, checked by hand; one that is not known here fails the test. */
function faults(schema: Schema, value: unknown, path = ''): string[] {
  const is = (type: string) =>
    type === 'integer' ? Number.isInteger(value) : type === 'array' ? Array.isArray(value) : type === kindOf(value);
  const list = (key: string) => schema[key] as readonly Schema[];
  const object = value as Schema;
  const checks: Record<string, () => readonly string[]> = {
    type: () => (is(schema.type as string) ? [] : [`${path}: no ${schema.type}`]),
    const: () => (value === schema.const ? [] : [`${path}: not ${schema.const}`]),
    enum: () => ((schema.enum as unknown[]).includes(value) ? [] : [`${path}: not in the list`]),
    minimum: () => ((value as number) >= (schema.minimum as number) ? [] : [`${path}: too small`]),
    exclusiveMinimum: () => ((value as number) > (schema.exclusiveMinimum as number) ? [] : [`${path}: too small`]),
    maximum: () => ((value as number) <= (schema.maximum as number) ? [] : [`${path}: too large`]),
    exclusiveMaximum: () => ((value as number) < (schema.exclusiveMaximum as number) ? [] : [`${path}: too large`]),
    minLength: () => ((value as string).length >= (schema.minLength as number) ? [] : [`${path}: too short`]),
    minItems: () => ((value as unknown[]).length >= (schema.minItems as number) ? [] : [`${path}: too few`]),
    items: () =>
      Array.isArray(value)
        ? value.flatMap((item, index) => faults(schema.items as Schema, item, `${path}.${index}`))
        : [],
    required: () =>
      (schema.required as string[]).filter((key) => object[key] === undefined).map((key) => `${path}.${key}`),
    properties: () =>
      Object.entries(schema.properties as Record<string, Schema>).flatMap(([key, own]) =>
        object[key] === undefined ? [] : faults(own, object[key], `${path}.${key}`),
      ),
    additionalProperties: () =>
      Object.keys(object)
        .filter((key) => !Object.hasOwn(schema.properties as Schema, key))
        .map((key) => `${path}.${key}?`),
    anyOf: () => (list('anyOf').some((one) => faults(one, value).length === 0) ? [] : [`${path}: no form fits`]),
    oneOf: () =>
      list('oneOf').filter((one) => faults(one, value).length === 0).length === 1 ? [] : [`${path}: no form fits`],
    if: () =>
      faults((faults(schema.if as Schema, value).length === 0 ? schema.then : schema.else) as Schema, value, path),
  };
  const silent = ['$schema', 'title', 'description', 'default', 'then', 'else'];
  if (schema.type !== undefined && !is(schema.type as string)) return (checks.type as () => string[])().slice();
  return Object.keys(schema).flatMap((key) => {
    if (silent.includes(key)) return [];
    if (checks[key] === undefined) throw new Error(`keyword ${key} is not checked here`);
    return checks[key]();
  });
}

const kindOf = (value: unknown) => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value);
const schema = () => trainConfigJsonSchema() as Schema;

describe('schema/train.schema.json', () => {
  it('is what the schema of the settings gives, its comments as descriptions; `npx vitest run test/train/json-schema.test.ts -u` writes it anew', async () => {
    const sources = ['train/config-schema.ts', 'train/policy-schema.ts'].map((name) => `${root}lib/${name}`);
    const published = withComments(schema(), 'TrainConfigSchema', sources);
    const text = JSON.stringify(published, null, 2);
    for (const comment of [
      'Completions per prompt.',
      'The one with the best evaluation stays too.',
      '0 = every core.',
    ]) {
      expect(text).toContain(`"description": "${comment}"`);
    }
    await expect(`${text}\n`).toMatchFileSnapshot('../../schema/train.schema.json');
  });

  it('accepts the examples, which name it for editors', () => {
    const files = readdirSync(`${root}examples`).filter((name) => name.endsWith('.yaml'));
    expect(files.length).toBeGreaterThan(0);
    for (const name of files) {
      const text = readFileSync(`${root}examples/${name}`, 'utf8');
      expect(text.split('\n')[0], name).toBe('# yaml-language-server: $schema=../schema/train.schema.json');
      expect(faults(schema(), parse(text)), name).toEqual([]);
    }
  });

  it('accepts a whole configuration, and little more than a preset', () => {
    expect(faults(schema(), makeConfig())).toEqual([]);
    expect(faults(schema(), { preset: 'grpo-small', output: 'x' })).toEqual([]);
  });

  it('finds unknown keys, wrong types, values out of range, and what is missing', () => {
    const wrong = (change: object) => faults(schema(), { ...makeConfig(), ...change });
    expect(wrong({ thread: 2 })).toEqual(['.thread?']);
    expect(wrong({ seed: 'one' })).toEqual(['.seed: no number'].map((text) => text.replace('number', 'integer')));
    expect(wrong({ evaluation: { maxTokens: 0 } })).toEqual(['.evaluation.maxTokens: too small']);
    expect(wrong({ stages: [{ kind: 'grpo' }] })).toEqual(['.stages.0: no form fits']);
    expect(faults(schema(), {})).toEqual(['.output', '.model', '.data', '.stages']);
    expect(faults(schema(), { preset: 'grpo-smal', output: 'x' })).toEqual(['.preset: not in the list']);
  });
});
