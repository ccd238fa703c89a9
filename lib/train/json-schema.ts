/** The published JSON Schema of a run's settings, for editors: made from the schema that checks them, so that the two cannot differ. */
import * as z from 'zod';
import { TrainConfigSchema } from './config-schema.js';
import { PresetSchema } from './preset.js';

type Json = { [key: string]: Json | readonly Json[] | string | number | boolean };

/** JSON Schema, draft 2020-12, of what a YAML file may hold: fields with a default may be left out, and most others under a preset. */
export function trainConfigJsonSchema(): object {
  const { $schema, properties, required, ...rest } = z.toJSONSchema(TrainConfigSchema, { io: 'input' }) as Json;
  const { $schema: _, ...preset } = z.toJSONSchema(PresetSchema, { io: 'input' }) as Json;
  return {
    $schema,
    title: 'Winnow: the settings of a training run',
    ...rest,
    properties: { preset, ...(properties as Json) },
    if: { required: ['preset'] },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { required: ['output'] },
    else: { required },
  };
}
