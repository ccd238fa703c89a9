/** A model folder opened for one command: weights in a session, and its tokenizer when a line needs it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Model, planTraining, readAdapterFolder, readModelFolder, type Session } from '../native/index.js';
import { LanguageModel } from '../protocol/index.js';
import { Tokenizer } from '../text/index.js';
import type { CommandContext } from './context.js';
import { type DTypeOption, type EngineOptions, withSession } from './options.js';

export interface LoadedModel {
  readonly model: Model;
  /** Token ids that end a text, from generation_config.json or config.json. */
  readonly eosTokenIds: readonly number[];
  readonly hasTokenizer: boolean;
  /** The model with its tokenizer, which is read on first use; ERR_TOKENIZER_* when there is none or it does not fit. */
  language(): LanguageModel;
}

/** Loads the folder's weights, and an adapter onto them, lends them to `use`, and frees them whatever happens. */
export async function withModelFolder<T>(
  folder: string,
  options: EngineOptions & {
    readonly dtype: DTypeOption;
    readonly keyValueDtype?: DTypeOption;
    readonly adapter?: string;
  },
  context: CommandContext,
  use: (loaded: LoadedModel, session: Session) => Promise<T>,
): Promise<T> {
  const { config: plain, weightFiles, eosTokenIds } = readModelFolder(folder);
  const config = { ...plain, keyValueDtype: options.keyValueDtype ?? options.dtype };
  const adapter = options.adapter === undefined ? undefined : readAdapterFolder(options.adapter);
  if (adapter !== undefined) planTraining({ config, dtype: options.dtype, adapter: adapter.config });
  return withSession(options, async (session) => {
    const source = { kind: 'files' as const, paths: [...weightFiles] };
    const model = await session.createModel({ config, dtype: options.dtype, source }, { signal: context.signal });
    if (adapter !== undefined) {
      await model.addAdapter(adapter.config, { kind: 'file', path: adapter.weightsFile }, { signal: context.signal });
    }
    let language: LanguageModel | undefined;
    return use(
      {
        model,
        eosTokenIds,
        hasTokenizer: existsSync(join(folder, 'tokenizer.json')),
        language() {
          language ??= new LanguageModel(model, Tokenizer.fromFolder(folder), { stopTokens: eosTokenIds });
          return language;
        },
      },
      session,
    );
  });
}
