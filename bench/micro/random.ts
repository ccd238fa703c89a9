import { philox4x32, RandomStream, stableKey } from '../../lib/random.js';
import { runSuite } from './suite.js';

const COUNT = 4096;
const block = new Uint32Array(4);
const items = Array.from({ length: 20 }, (_, i) => i);
const stream = new RandomStream(1, 'bench');

runSuite('random', [
  {
    name: 'philox4x32',
    work: { count: 4 * COUNT, unit: 'values' },
    run: () => {
      for (let i = 0; i < COUNT; i++) philox4x32(1, 2, [i, 0, 0, 0], block);
      return block[0];
    },
  },
  { name: 'shuffle of 20', work: { count: 1, unit: 'shuffles' }, run: () => stream.shuffled(items) },
  { name: 'stableKey', work: { count: 1, unit: 'keys' }, run: () => stableKey('rank', 'user-17', 3, 0, 0) },
]);
