/**
 * A reference policy that follows the policy: every `everySteps` steps it becomes mix x policy + (1 - mix) x reference (TR-DPO,
 * Gorbatovski et al. 2024, arXiv 2404.09656, the hard update with mix 1 and the soft one below; TRL's `sync_ref_model`). Its weights are a
 * model folder in the run, and every checkpoint holds a copy, so that a resumed run has the same reference to the bit.
 */
import { constants, cpSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { blendWeights } from './blend.js';
import { type Checkpoint, kWeightsFile } from './checkpoint.js';
import type { GrpoConfig } from './config.js';
import { writing } from './output.js';
import type { RunParts } from './setup.js';
import type { ScoringModel, Stage, TrainableModel } from './stage.js';

type Sync = NonNullable<GrpoConfig['referenceSync']>;

export interface FollowingOptions {
  readonly parts: Pick<RunParts, 'model' | 'writeModelFiles' | 'openReference'>;
  readonly sync: Sync;
  readonly dtype: 'f32' | 'bf16';
  /** Where the weights stay while the stage goes on. */
  readonly folder: string;
  /** Where it begins: a model folder, the policy as it is, or what a checkpoint holds. */
  readonly from: string | 'policy' | Checkpoint;
}

/** Inside a checkpoint. */
const kFolder = 'reference';

export class FollowingReference implements ScoringModel {
  readonly #options: FollowingOptions;
  #model: TrainableModel;

  private constructor(options: FollowingOptions, model: TrainableModel) {
    this.#options = options;
    this.#model = model;
  }

  static async open(options: FollowingOptions): Promise<FollowingReference> {
    const { parts, folder, from } = options;
    rmSync(folder, { recursive: true, force: true });
    if (typeof from === 'object') {
      copy(join(from.path, kFolder), folder);
    } else if (from === 'policy') {
      await write(options, parts.model, folder);
    } else {
      const start = await parts.openReference(from);
      await write(options, start, folder);
      await start.dispose();
    }
    return new FollowingReference(options, await parts.openReference(folder));
  }

  score(...request: Parameters<TrainableModel['score']>): ReturnType<TrainableModel['score']> {
    return this.#model.score(...request);
  }

  dispose(): Promise<void> {
    return this.#model.dispose();
  }

  /** A stage whose steps the reference follows, and whose checkpoints hold it. */
  along(stage: Stage): Stage {
    return {
      ...stage,
      step: async (request) => {
        const outcome = await stage.step(request);
        if ((request.stageStep + 1) % this.#options.sync.everySteps !== 0) return outcome;
        const started = performance.now();
        await this.#follow();
        const spent = (performance.now() - started) / 1000;
        const total = (outcome.seconds.total ?? 0) + spent;
        return { ...outcome, seconds: { ...outcome.seconds, sync: spent, total } };
      },
      save: async (checkpoint) => {
        await stage.save?.(checkpoint);
        copy(this.#options.folder, join(checkpoint, kFolder));
      },
    };
  }

  async #follow(): Promise<void> {
    const { parts, sync, folder } = this.#options;
    const next = join(dirname(folder), `.writing-${basename(folder)}-${process.pid}`);
    await write(this.#options, parts.model, next);
    if (sync.mix < 1) await blendWeights(join(next, kWeightsFile), join(folder, kWeightsFile), sync.mix);
    // Before the new one is opened: there is never memory for two.
    await this.#model.dispose();
    rmSync(folder, { recursive: true });
    renameSync(next, folder);
    this.#model = await parts.openReference(folder);
  }
}

/** In f32 where small steps are to add up: bf16 would round them away. */
async function write({ parts, sync, dtype }: FollowingOptions, model: TrainableModel, folder: string): Promise<void> {
  writing(folder, () => mkdirSync(folder, { recursive: true }));
  parts.writeModelFiles(folder);
  await model.save(join(folder, kWeightsFile), sync.mix < 1 ? 'f32' : dtype);
}

/** Blocks of the disk are shared where the file system can. */
function copy(from: string, to: string): void {
  writing(to, () => cpSync(from, to, { recursive: true, mode: constants.COPYFILE_FICLONE }));
}
