/** The protocols by name: what settings files, `winnow eval`, `winnow rank` and the server choose from. One line each. */
import * as z from 'zod';
import { WinnowError } from '../errors.js';
import type { Protocol } from '../types.js';
import { directProtocol, directSchema } from './direct.js';
import { exclusionProtocol, exclusionSchema } from './exclusion.js';
import { listwiseProtocol, listwiseSchema } from './listwise.js';
import { pointwiseProtocol, pointwiseSchema } from './pointwise.js';
import { setwiseProtocol, setwiseSchema } from './setwise.js';

// biome-ignore lint/suspicious/noExplicitAny: the state of a protocol is its own business
export type AnyProtocol = Protocol<any>;

/** What can be chosen, with its options: `{ name: 'setwise', topK: 5 }`. */
export const protocolSchema = z.discriminatedUnion('name', [
  exclusionSchema,
  directSchema,
  setwiseSchema,
  listwiseSchema,
  pointwiseSchema,
]);

export type ProtocolSettings = z.output<typeof protocolSchema>;
export type ProtocolName = ProtocolSettings['name'];

type Factories = {
  readonly [Name in ProtocolName]: (options: Extract<ProtocolSettings, { name: Name }>) => AnyProtocol;
};

const factories: Factories = {
  exclusion: exclusionProtocol,
  direct: directProtocol,
  setwise: setwiseProtocol,
  listwise: listwiseProtocol,
  pointwise: pointwiseProtocol,
};

export const protocolNames = Object.keys(factories) as readonly ProtocolName[];

/** @throws WinnowError ERR_PROTOCOL_OPTION */
export function makeProtocol(settings: ProtocolSettings): AnyProtocol {
  return (factories[settings.name] as (options: ProtocolSettings) => AnyProtocol)(settings);
}

/** Options from outside, e.g. a command line: checked, then made. @throws WinnowError ERR_PROTOCOL_OPTION */
export function protocolNamed(name: string, options: object = {}): AnyProtocol {
  const parsed = protocolSchema.safeParse({ ...options, name });
  if (parsed.success) return makeProtocol(parsed.data);
  const issue = parsed.error.issues[0] as z.core.$ZodIssue;
  const known = protocolNames.includes(name as ProtocolName);
  throw new WinnowError('ERR_PROTOCOL_OPTION', `the protocol ${name} cannot be made`, {
    expected: known ? `${issue.path.join('.') || 'its options'}: ${issue.message}` : protocolNames.join(', '),
    received: JSON.stringify(options),
  });
}
