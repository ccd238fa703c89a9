/** Several sources of instances as one, each with its own teacher. */
import type { RankingInstance } from '../types.js';
import type { Demonstrator, TrainingData } from './data-source.js';

/** The sources one after the other. Their item ids may mean different things, so that baselines learn from none of them. */
export function mixSources(sources: readonly TrainingData[], weights: readonly number[]): TrainingData {
  const parts = sources.map(({ train }, index) => ({
    ...{ name: `source-${index}`, size: train.length, weight: weights[index] as number },
  }));
  return {
    train: sources.flatMap(({ train }) => train),
    test: sources.flatMap(({ test }) => test),
    trainSequences: [],
    mixture: parts,
    demonstrator: (options, seed) => {
      const teachers = new Map<RankingInstance, Demonstrator>();
      for (const source of sources) {
        const teacher = source.demonstrator(options, seed);
        for (const instance of source.train) teachers.set(instance, teacher);
      }
      const [first] = teachers.values();
      return (instance, prompt, key) => (teachers.get(instance) ?? (first as Demonstrator))(instance, prompt, key);
    },
  };
}
