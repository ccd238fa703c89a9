/** Measures, intervals and baselines over a few hundred rankings. */
import { bootstrapMean, evaluateScorer, measure, popularityScorer } from '../../lib/eval/index.js';
import { makeSyntheticTask } from '../../lib/tasks/synthetic.js';
import { runSuite } from './suite.js';

const task = makeSyntheticTask({ seed: 1, users: 400 });
const grades = [0, 0, 1, 0, 0, 0, 2, 0, 0, 0];
const values = Array.from({ length: 400 }, (_, i) => (i % 7) / 7);
const popularity = popularityScorer(task.trainSequences.map(({ itemIds }) => itemIds));

runSuite('measures', [
  { name: 'nDCG@10', work: { count: 1, unit: 'rankings' }, run: () => measure('nDCG@10', grades, 'linear') },
  { name: 'MRR', work: { count: 1, unit: 'rankings' }, run: () => measure('MRR', grades, 'linear') },
  {
    name: 'bootstrap of 400 values, 2000 resamples',
    work: { count: 1, unit: 'intervals' },
    run: () => bootstrapMean(values),
  },
  {
    name: 'popularity, one measure, no resampling',
    work: { count: task.test.length, unit: 'instances' },
    run: () => evaluateScorer(popularity, task.test, { measures: ['MRR'], bootstrap: { resamples: 1 } }),
  },
]);
