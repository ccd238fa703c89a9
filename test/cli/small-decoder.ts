import { benchShapes } from '../../lib/cli/bench/shapes.js';

/** Of one layer, so small that its work can be counted by hand. */
export const smallDecoder = {
  ...benchShapes.tiny,
  vocabulary: 10,
  width: 8,
  feedForward: 4,
  layers: 1,
  heads: 2,
  kvHeads: 1,
  headDim: 8,
};
