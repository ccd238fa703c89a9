import { expect, test } from 'vitest';
import {
  bodyWeights,
  decodeWork,
  floorSeconds,
  gemmWork,
  groupGradientPhases,
  parameterCount,
  prefillWork,
  trainPhases,
  updateWork,
} from '../../lib/cli/bench/accounting.js';
import { benchShapes } from '../../lib/cli/bench/shapes.js';
import { median, spread } from '../../lib/cli/bench/statistics.js';
import { completionsPerPass } from '../../lib/cli/bench/workloads/training.js';
import { smallDecoder } from './small-decoder.js';

const qwen = benchShapes['qwen2.5-0.5b'];

test('the decoder has the published size: 357.8 M in the layers, 0.494 G in all', () => {
  expect(bodyWeights(qwen) / 1e6).toBeCloseTo(357.8, 1);
  expect(parameterCount(qwen) / 1e9).toBeCloseTo(0.494, 3);
});

test('work of one tiny decoder, by hand', () => {
  // Two heads of 8 on width 8: q and o 2 x 8 x 16, k and v 2 x 8 x 8, feed-forward 3 x 8 x 4.
  const config = smallDecoder;
  expect(bodyWeights(config)).toBe(256 + 128 + 96);
  expect(gemmWork(3, 5, 7, 'bf16')).toEqual({ flops: 210, bytes: 70 });
  // Three tokens see 1 + 2 + 3 keys at 4 x 2 x 8 FLOPs; the head once.
  expect(prefillWork(config, 'f32', 3)).toEqual({
    flops: 2 * 3 * 480 + 2 * 80 + 64 * 6,
    bytes: 560 * 4 + 3 * 2 * 8 * 4,
  });
  // Two rows, two steps after a context of 5: 6 + 7 keys each.
  const decode = decodeWork(config, 'f32', { rows: 2, context: 5, shared: 5, steps: 2 });
  expect(decode.flops).toBe(2 * 2 * 2 * 560 + 64 * 2 * 13);
  // Shared keys are read once a step, own keys by each row.
  expect(decode.bytes).toBe(2 * 560 * 4 + (2 * 3 + 2 * 5) * 64);
  const { head, backward } = groupGradientPhases(config, 'f32', { group: 2, prompt: 5, completion: 3 });
  const pairs = 15 + 2 * (6 + 7);
  // A head on 2 x 3 tokens; 5 + 2 x 2 rows. Two readings of the head's weight and one writing of its gradient.
  expect(head).toEqual({ flops: 6 * 6 * 80, bytes: 3 * 80 * 4 });
  expect(backward).toEqual({ flops: 4 * 9 * 480 + 2.5 * 64 * pairs, bytes: 2 * 480 * 4 });
  // Two sequences of 4: three rows each that see 1 + 2 + 3 keys.
  const train = trainPhases(config, 'bf16', { sequences: 2, length: 4 });
  expect(train.forward).toEqual({ flops: 2 * 6 * 480 + 64 * 12, bytes: 480 * 2 });
  expect(train.head).toEqual({ flops: 6 * 6 * 80, bytes: 2 * 80 * 2 + 80 * 4 });
  expect(train.backward).toEqual({ flops: 4 * 6 * 480 + 2.5 * 64 * 12, bytes: 480 * 6 });
  expect(train.update).toEqual({ flops: 0, bytes: 28 * 560 });
  expect(updateWork(config)).toEqual({ flops: 0, bytes: 28 * 560 });
});

test('the floor is whichever limit binds', () => {
  const peak = { flopsPerSecond: 100, bytesPerSecond: 10 };
  expect(floorSeconds({ flops: 200, bytes: 10 }, peak)).toBe(2);
  expect(floorSeconds({ flops: 100, bytes: 30 }, peak)).toBe(3);
});

test('median of odd and even counts', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
});

test('spread of trials, by hand', () => {
  // Deviations from 5 are 4, 3, 0, 1, 95.
  expect(spread([1, 2, 5, 6, 100])).toEqual({ median: 5, min: 1, max: 100, mad: 3 });
});

test.each([
  [{ group: 8, prompt: 256, completion: 64 }, 8],
  [{ group: 8, prompt: 1024, completion: 128 }, 2],
  // Four would fit, and do not divide six.
  [{ group: 6, prompt: 1000, completion: 24 }, 3],
  [{ group: 7, prompt: 600, completion: 40 }, 1],
  [{ group: 4, prompt: 8000, completion: 40 }, 1],
])('of a group %o a peer takes %i completions in one pass', (shape, expected) => {
  expect(completionsPerPass(shape)).toBe(expected);
});
