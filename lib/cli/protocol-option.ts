/** How a command asks for a protocol: its name, and its options one by one. */
import { type Command, Option } from 'commander';
import { parse } from 'yaml';
import { WinnowError } from '../errors.js';
import {
  type AnyProtocol,
  type LanguageModel,
  protocolNamed,
  protocolNames,
  ThoughtStore,
  withThoughts,
} from '../protocol/index.js';
import type { RankingInstance } from '../types.js';
import { integerFrom, numberWithin } from './options.js';

export interface ProtocolOptions {
  readonly protocol: string;
  readonly protocolOption: readonly (readonly [key: string, value: unknown])[];
  readonly wording?: string;
  readonly compat?: string;
  readonly thoughts?: string;
  readonly thoughtsBy?: 'bm25' | 'hidden';
  readonly thoughtsTopK?: number;
  readonly thoughtsThreshold?: number;
}

/** `perStep=2` or `weights.order=2`; the value is read as YAML, so numbers and true are what they look like. */
function readOption(
  written: string,
  before: ProtocolOptions['protocolOption'] = [],
): ProtocolOptions['protocolOption'] {
  const cut = written.indexOf('=');
  if (cut < 1) {
    throw new WinnowError('ERR_USAGE', 'a protocol option cannot be read', {
      expected: 'key=value',
      received: written,
    });
  }
  return [...before, [written.slice(0, cut), parse(written.slice(cut + 1))]];
}

export function addProtocolOptions(command: Command): Command {
  return command
    .addOption(new Option('--protocol <name>', 'how the ranker is asked').choices(protocolNames).default('exclusion'))
    .option('--protocol-option <key=value>', 'an option of the protocol, see docs/protocols.md; repeatable', readOption)
    .option('--wording <name>', 'of the prompts, e.g. labels, compact')
    .option('--compat <name>', 'as a reference does it, e.g. r1-ranker or llm-rankers')
    .option(
      '--thoughts <file>',
      'thoughts.jsonl of a training run: those of similar instances come before each question',
    )
    .addOption(
      new Option('--thoughts-by <how>', 'similar by BM25, or by the cosine of mean hidden states of the model')
        .choices(['bm25', 'hidden'])
        .default('bm25'),
    )
    .option('--thoughts-top-k <k>', 'thoughts for one instance, at most; default 3', integerFrom(1))
    .option('--thoughts-threshold <s>', 'BM25 score or cosine to exceed; default 0', numberWithin(0, Number.MAX_VALUE));
}

/** @throws WinnowError ERR_PROTOCOL_OPTION */
export function protocolFrom(
  options: Partial<ProtocolOptions> & Pick<ProtocolOptions, 'protocol'>,
  seed: number,
): AnyProtocol {
  const { protocol, wording, compat } = options;
  const settings: Record<string, unknown> = {
    ...(protocol === 'pointwise' ? {} : { seed }),
    ...(wording === undefined ? {} : { wording }),
    ...(compat === undefined ? {} : { compat }),
  };
  for (const [key, value] of options.protocolOption ?? []) {
    const [head, part] = key.split('.') as [string, string?];
    settings[head] = part === undefined ? value : { ...(settings[head] as object | undefined), [part]: value };
  }
  return protocolNamed(protocol, settings);
}

/** The protocol for these instances, with retrieved thoughts if a file of them is given; `language` embeds for `--thoughts-by hidden`. */
export async function rankingProtocol(
  options: Partial<ProtocolOptions> & Pick<ProtocolOptions, 'protocol'>,
  seed: number,
  instances: readonly RankingInstance[],
  language: Pick<LanguageModel, 'embed'>,
): Promise<AnyProtocol> {
  const protocol = protocolFrom(options, seed);
  const { thoughts, thoughtsBy, thoughtsTopK: topK, thoughtsThreshold: threshold } = options;
  if (thoughts === undefined) return protocol;
  const store = await ThoughtStore.load(thoughts);
  const found = await store.retrieve(instances, {
    ...(thoughtsBy === 'hidden' ? { embed: (texts) => language.embed(texts) } : {}),
    ...(topK === undefined ? {} : { topK }),
    ...(threshold === undefined ? {} : { threshold }),
  });
  return withThoughts(protocol, found);
}
