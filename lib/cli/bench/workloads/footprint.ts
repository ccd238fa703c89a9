/** What the engine takes besides time: memory of a GRPO step, size on the disk, and the wait for the first token. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { WinnowError } from '../../../errors.js';
import { addonFileBytes } from '../../../native/index.js';
import { bodyWeights, dtypeBytes, headWeights } from '../accounting.js';
import { type BenchCase, type BenchSettings, tokenLists, type Workload } from '../case.js';
import { benchShapes } from '../shapes.js';
import { grpoCase, type StepMemory } from './training.js';

const root = join(import.meta.dirname, '../../../..');

/** Bytes of the package as npm unpacks it, and of the addon that its installation builds. */
function installedBytes(): { packageBytes: number; addonBytes: number } {
  const pack = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8' });
  if (pack.status !== 0)
    throw new WinnowError('ERR_BENCHMARK', 'npm pack, which tells the size of the package, failed', {
      received: pack.error?.message ?? pack.stderr.trim(),
    });
  const [{ unpackedSize }] = JSON.parse(pack.stdout) as [{ unpackedSize: number }];
  return { packageBytes: unpackedSize, addonBytes: addonFileBytes() };
}

const FIRST_PROMPT_TOKENS = 8;

/** From the start of the process, Node.js included, to the first token of a model folder. */
function firstToken({ shape, dtype }: BenchSettings): BenchCase {
  const config = benchShapes[shape];
  const weights = bodyWeights(config) + headWeights(config);
  return {
    name: 'first token',
    phases: { weights: { flops: 0, bytes: weights * dtypeBytes(dtype) } },
    tokens: 0,
    async run({ loadModel }) {
      const model = await loadModel();
      const prompts = tokenLists(1, FIRST_PROMPT_TOKENS, config.vocabulary);
      await model.generate({ prompts, maxTokens: 1, ignoreStopTokens: true });
      // performance counts from the start of the process.
      return { seconds: [performance.now() / 1000], details: installedBytes() };
    },
  };
}

/** All that a run can save: the same gradient, but for moments that are rounded. */
const smallest: StepMemory = {
  forms: { moments: '8bit', masters: 'split' },
  maxActivationBytes: 0,
  recompute: 'layer',
  headChunkRows: 128,
};

export const memory: Workload = (settings) => {
  // What a peer's step takes stands in the record of grpo.
  const { peer: _, ...step } = grpoCase(settings, settings);
  const { peer: __, ...small } = grpoCase(settings, settings, smallest);
  return [
    { ...step, name: `memory of ${step.name}` },
    { ...small, name: `least memory of ${small.name}` },
    firstToken(settings),
  ];
};
