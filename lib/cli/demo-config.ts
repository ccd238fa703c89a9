/** The settings of `winnow demo`: those of the preset `grpo-small`, as a YAML file would hold them. */
import { type TrainConfig, withPreset } from '../train/index.js';

export function demoConfig(output: string, seed: number): TrainConfig {
  return withPreset({
    preset: 'grpo-small',
    name: 'Winnow demo: learning to rank by elimination',
    notes: [
      'Every user likes one hidden genre, and one of the two words of a title tells its genre. The model reads what a user took, is shown candidates, and says which one to exclude, until one is left. Its thought names the liked genre, then judges each candidate.',
      'The warm-up teaches the form of such thoughts with demonstrations whose judgements are random in two cases of three, so that reinforcement learning has something left to find: GRPO rewards the excluded candidate alone (+1 right, 0 the one to keep, -0.5 no candidate).',
      'Two ways to make it fail: with a learning rate of 1e-3 in GRPO (--set stages.1.learningRate=1e-3) seed 1 fell from an MRR of 46 after the warm-up to 31, below chance; and after a warm-up too short to read genres (200 steps in an early version) GRPO gained nothing, while the share of groups whose completions all earn the same reward grew from a quarter to three quarters.',
    ],
    seed,
    device: 'auto',
    threads: 0,
    output,
  }) as TrainConfig;
}
