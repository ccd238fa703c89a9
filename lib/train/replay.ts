/**
 * Groups of earlier steps, to be trained on again. What they were sampled with is kept, so that the loss can weigh each token by
 * how much likelier the current policy makes it (truncatedImportance). The buffer is part of a checkpoint.
 */
import * as z from 'zod';
import { WinnowError } from '../errors.js';
import { RandomStream } from '../random.js';
import type { TrainGroup } from './policy-batch.js';

export interface ReplaySettings {
  /** Groups drawn per step. */
  readonly groups: number;
  /** Steps after which a group is forgotten. */
  readonly maxAge: number;
  readonly seed: number;
  readonly stageKey: string;
}

const kState = z.strictObject({
  version: z.literal(1),
  groups: z.array(
    z.strictObject({
      step: z.number().int().nonnegative(),
      prompt: z.array(z.number().int()),
      completions: z.array(
        z.strictObject({
          tokens: z.array(z.number().int()),
          logprobs: z.array(z.number()),
          truncated: z.boolean(),
          advantage: z.number(),
        }),
      ),
    }),
  ),
});

export class ReplayBuffer {
  readonly #settings: ReplaySettings;
  #held: { readonly step: number; readonly group: TrainGroup }[] = [];

  /** `state`: what `state()` gave before, if the stage is resumed. Throws ERR_CHECKPOINT when it is something else. */
  constructor(settings: ReplaySettings, state?: unknown) {
    this.#settings = settings;
    if (state !== undefined) this.#held = restored(state);
  }

  /** Groups for step `step` of the stage; fewer than asked for while there are fewer. They depend on seed and step alone. */
  draw(step: number): TrainGroup[] {
    const { groups, seed, stageKey } = this.#settings;
    const random = new RandomStream(seed, 'replay', stageKey, step);
    const drawn = random.sample(this.#held, Math.min(groups, this.#held.length));
    return drawn.map(({ step: sampledAt, group }) => ({ ...group, age: step - sampledAt }));
  }

  /** Takes the groups of step `step` that have a signal, and forgets those that would be too old at the next step. */
  add(groups: readonly TrainGroup[], step: number): void {
    const { maxAge } = this.#settings;
    const kept = groups.filter(({ informative, age }) => informative && age === 0);
    this.#held = [...this.#held, ...kept.map((group) => ({ step, group }))].filter(
      ({ step: sampledAt }) => step + 1 - sampledAt <= maxAge,
    );
  }

  /** Plain data for JSON, which keeps every finite number exactly. */
  state(): z.input<typeof kState> {
    const groups = this.#held.map(({ step, group: { prompt, completions } }) => ({
      step,
      prompt: [...prompt],
      completions: completions.map(({ tokens, logprobs, truncated, advantage }) => ({
        ...{ tokens: [...tokens], logprobs: [...logprobs], truncated, advantage },
      })),
    }));
    return { version: 1, groups };
  }
}

function restored(state: unknown): { step: number; group: TrainGroup }[] {
  const parsed = kState.safeParse(state);
  if (!parsed.success) {
    throw new WinnowError('ERR_CHECKPOINT', 'the replay buffer of the checkpoint cannot be read', {
      received: parsed.error.issues[0]?.message ?? '',
      hint: 'start a new run from this checkpoint as a model folder',
    });
  }
  return parsed.data.groups.map(({ step, prompt, completions }) => ({
    step,
    group: {
      prompt: Int32Array.from(prompt),
      completions: completions.map(({ tokens, logprobs, ...rest }) => ({
        ...{ tokens: Int32Array.from(tokens), logprobs: Float32Array.from(logprobs) },
        ...rest,
      })),
      informative: true,
      age: 0,
    },
  }));
}
