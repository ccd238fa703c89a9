/** Options that several commands share, and how their values are read. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { WinnowError } from '../errors.js';
import { type DeviceOption, openSession, type Session } from '../native/index.js';

/** Reads an integer from `least` to 2^53 - 1. */
export function integerFrom(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < least)
      throw new InvalidArgumentError(`expected an integer of at least ${least}, received ${text}`);
    return value;
  };
}

/** Reads a number from `least` to `most`. */
export function numberWithin(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= least && value <= most))
      throw new InvalidArgumentError(`expected a number from ${least} to ${most}, received ${text}`);
    return value;
  };
}

function readDevice(text: string): DeviceOption {
  const [, name, index] = text.match(/^(auto|cpu|reference|cuda)(?::(\d+))?$/) ?? [];
  if (!name || (index && name !== 'cuda'))
    throw new InvalidArgumentError(`expected auto, cpu, reference or cuda[:N], received ${text}`);
  return text as DeviceOption;
}

export interface EngineOptions {
  readonly device: DeviceOption;
  /** 0 = every core. */
  readonly threads: number;
  readonly json: boolean;
}

/** --device, --threads and --json, which every command takes. */
export function addEngineOptions(command: Command): Command {
  return command
    .addOption(new Option('--device <name>', 'auto, cpu, reference or cuda[:N]').default('auto').argParser(readDevice))
    .addOption(new Option('--threads <n>', '0 = every core').default(0).argParser(integerFrom(0)))
    .option('--json', 'machine-readable output and progress', false);
}

export type DTypeOption = 'f32' | 'bf16';

export const dtypeOption = (fallback: DTypeOption = 'f32'): Option =>
  new Option('--dtype <name>', 'format of weights and products').choices(['f32', 'bf16']).default(fallback);

export const keyValueDtypeOption = (): Option =>
  new Option(
    '--key-value-dtype <name>',
    'format that keys and values are rounded to, as model.keyValueDtype of a run; default: that of --dtype',
  ).choices(['f32', 'bf16']);

export const adapterOption = (): Option =>
  new Option('--adapter <dir>', 'LoRA adapter on the model: a folder that PEFT or a run with model.lora wrote');

/** Opens a session, lends it to `use`, and closes it whatever happens. */
export async function withSession<T>(options: EngineOptions, use: (session: Session) => Promise<T>): Promise<T> {
  const session = openSession({ device: options.device, threads: options.threads });
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}

/** An option that is missing although another one asks for it. */
export function requireTogether(present: boolean, needs: string, because: string): void {
  if (!present) throw new WinnowError('ERR_USAGE', `${because} needs ${needs}`, { hint: 'see winnow --help' });
}
