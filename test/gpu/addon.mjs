// What test/gpu/run.sh cannot show, for it needs Node.js: models of the shapes of Qwen2.5-0.5B and 3B that train and
// sample through the addon with the memory of the plan, and the rewards of the demo's task on the device and on the CPU.
//   WINNOW_CUDA=ON npm run build && OUT=/tmp/proof node test/gpu/addon.mjs
// Prints one JSON record a line and leaves them in $OUT/addon.json; fails if one of them does.
// `--device cpu --shapes tiny --steps 4` tries the script itself where there is no device.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { benchShapes } from '../../dist/cli/bench/shapes.js';
import { openSession, planTraining, totalBytes } from '../../dist/native/index.js';

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'cuda' },
    shapes: { type: 'string', default: 'qwen2.5-0.5b,qwen2.5-3b' },
    steps: { type: 'string', default: '800' },
  },
});
const out = process.env.OUT ?? 'build/gpu';
const root = fileURLToPath(new URL('../..', import.meta.url));
const small = benchShapes['qwen2.5-0.5b'];
const shapes = {
  ...benchShapes,
  'qwen2.5-3b': { ...small, width: 2048, feedForward: 11_008, layers: 36, heads: 16, kvHeads: 2, headDim: 128 },
};

/** Bytes in use on the first device, by whomever; undefined where nvidia-smi does not tell. */
function deviceBytes() {
  const asked = spawnSync('nvidia-smi', ['--query-gpu=memory.used', '--format=csv,noheader,nounits'], {
    encoding: 'utf8',
  });
  const mebibytes = Number.parseInt(asked.stdout ?? '', 10);
  return Number.isNaN(mebibytes) ? undefined : mebibytes * 2 ** 20;
}

function tokens(rows, length, vocabulary) {
  return Array.from({ length: rows }, (_, row) =>
    Int32Array.from({ length }, (_, i) => ((row * length + i + 1) * 15_485_863) % vocabulary),
  );
}

/** A step of training on 4 sequences of 256 tokens, and sixteen completions. */
async function trainAndSample(session, name) {
  const config = shapes[name];
  const before = deviceBytes();
  const source = { kind: 'random', seed: 3, standardDeviation: 0.02 };
  const model = await session.createModel({ config, dtype: 'bf16', source });
  await model.enableTraining();
  const sequences = tokens(4, 256, config.vocabulary);
  const weight = sequences.map(({ length }) => Float32Array.from({ length }, (_, i) => (i === 0 ? 0 : 1 / (4 * 255))));
  const { loss } = await model.accumulateGradients({ sequences, kind: 'supervised', weight, maxBatchTokens: 1024 });
  const used = before === undefined ? undefined : deviceBytes() - before;
  const planned = totalBytes(planTraining({ config, dtype: 'bf16', maxBatchTokens: 1024, threads: 1 }));
  await model.applyGradients({ learningRate: 1e-5, step: 1 });
  const { completions } = await model.generate({
    prompts: tokens(1, 64, config.vocabulary),
    completionsPerPrompt: 16,
    maxTokens: 32,
    ignoreStopTokens: true,
  });
  const sampled = completions[0].filter((completion) => completion.tokens.length === 32).length;
  const fits = session.device !== 'cuda' || used === undefined || Math.abs(used - planned) <= 0.02 * planned;
  return {
    ...{ name: `addon ${name}`, device: session.device, loss, completions: sampled },
    ...{ usedBytes: used ?? null, plannedBytes: planned, ok: Number.isFinite(loss) && sampled === 16 && fits },
  };
}

/** Rewards of twenty steps of GRPO on the demo's task, after its warm-up. */
function demoRewards(device) {
  const folder = join(out, `demo-${device}`);
  rmSync(folder, { recursive: true, force: true });
  const sets = [`stages.0.steps=${values.steps}`, `stages.0.warmupSteps=${Math.min(20, Number(values.steps) - 1)}`];
  sets.push('stages.1.steps=20', 'evaluation.instances=40', 'stages.0.sizes.rampSteps=300');
  const run = spawnSync(
    process.execPath,
    ['bin/winnow.js', 'demo', '--device', device, '--output', folder, ...sets.flatMap((set) => ['--set', set])],
    { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  if (run.status !== 0) throw new Error(`winnow demo --device ${device} ended with ${run.status}`);
  const lines = readFileSync(join(folder, 'metrics.jsonl'), 'utf8').trim().split('\n');
  const steps = lines.map((line) => JSON.parse(line)).filter(({ type, kind }) => type === 'step' && kind === 'grpo');
  return steps.map(({ metrics }) => metrics);
}

function compareDemo() {
  const here = demoRewards(values.device);
  const cpu = demoRewards('cpu');
  const rewards = here.map(({ reward }) => reward);
  const expected = cpu.map(({ reward }) => reward);
  const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
  const largestLogRatio = Math.max(...here.map((metrics) => metrics['sampling/sampling_logp_difference/max']));
  const difference = Math.abs(mean(rewards) - mean(expected));
  const ok = rewards.length === 20 && expected.length === 20 && difference <= 0.1;
  return { name: 'demo, 20 steps of GRPO', device: values.device, rewards, cpuRewards: expected, largestLogRatio, ok };
}

mkdirSync(out, { recursive: true });
const session = openSession({ device: values.device });
const records = [];
const add = (record) => {
  records.push(record);
  console.log(JSON.stringify(record));
};
try {
  for (const name of values.shapes.split(',')) add(await trainAndSample(session, name));
} finally {
  await session.close();
}
add(compareDemo());
writeFileSync(join(out, 'addon.json'), `${JSON.stringify(records, null, 1)}\n`);
process.exitCode = records.every(({ ok }) => ok) ? 0 : 1;
