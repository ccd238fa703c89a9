// Algorithms at equal samples: the last stage of a configuration, which must be GRPO, trained with GRPO, Dr. GRPO, RLOO, PPO with a
// critic, and by imitation, each from the same warm-up and over several seeds; then a figure and a table.
//   node scripts/compare-algorithms.mjs CONFIG.yaml --output DIR [--seeds 1,2,3] [--evaluate-every 40] [--lanes 2] [--title T]
// `{seed}` in the file stands for the seed. Started again, it goes on where it was left. Each run has one thread; --lanes runs go at once.

import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { withPreset } from '../dist/train/index.js';
import { root, run, runMain, ToolError } from './tools/process.mjs';

/** Settings of the last stage, by the name of the variant; `examples` is the number of samples of a step. */
function variantsOf(stages) {
  const grpo = stages.at(-1);
  if (grpo?.kind !== 'grpo') throw new ToolError('the last stage of the configuration must be of kind grpo');
  const { prompts, group, maxTokens, temperature, kind, name, ...common } = grpo;
  const imitation = { ...common, kind: 'sft', name: 'imitation', batch: prompts * group };
  const teacher = stages.findLast((stage) => stage.kind === 'sft')?.demonstrations ?? {};
  return {
    GRPO: grpo,
    'Dr. GRPO': { ...grpo, advantage: 'mean', normaliser: 'constant' },
    RLOO: { ...grpo, advantage: 'leave-one-out', normaliser: 'constant' },
    PPO: { ...grpo, kind: 'ppo', critic: { body: 'own', learningRate: 1e-3 } },
    'imitation of the warm-up': { ...imitation, demonstrations: teacher },
    'imitation of the truth': { ...imitation, demonstrations: { ...teacher, corruptShare: 0 } },
  };
}

const slug = (name) => name.toLowerCase().replace(/[^a-z]+/g, '-');

function settingsOf(config, seed) {
  return withPreset(parse(readFileSync(config, 'utf8').replaceAll('{seed}', String(seed))));
}

/** The settings of a run, written for `winnow train`; undefined as `stage`: the warm-up alone. */
function writeConfig(options, seed, name, stage) {
  const settings = settingsOf(options.config, seed);
  const before = settings.stages.slice(0, -1);
  if (before.length === 0) throw new ToolError('the configuration needs a stage before the last one: the warm-up');
  const output = join(options.output, `${slug(name)}-${seed}`);
  const config = {
    ...settings,
    ...{ seed, threads: 1, output, stages: stage === undefined ? before : [...before, stage] },
    evaluation: { ...settings.evaluation, everySteps: options.evaluateEvery },
  };
  writeFileSync(`${output}.json`, `${JSON.stringify(config, null, 2)}\n`);
  return { config: `${output}.json`, output, steps: before.reduce((sum, { steps }) => sum + steps, 0) };
}

function train({ config, output }) {
  const resume = existsSync(output) ? ['--resume'] : [];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'bin/winnow.js'), 'train', config, ...resume], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    child.on('error', reject);
    child.on('exit', (status, signal) => {
      if (status === 0) resolve();
      else reject(new ToolError(`the run of ${config} ended with ${signal ?? `status ${status}`}`));
    });
  });
}

/** Runs `jobs`, so many at a time; the first failure lets the others end and is thrown. */
async function inLanes(jobs, lanes) {
  const queue = [...jobs];
  const lane = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) await job();
  };
  const ended = await Promise.allSettled(Array.from({ length: lanes }, lane));
  const failed = ended.find(({ status }) => status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

async function branch(warm, plan) {
  if (!existsSync(plan.output)) {
    const partial = `${plan.output}.partial`;
    rmSync(partial, { recursive: true, force: true });
    cpSync(warm.output, partial, { recursive: true, verbatimSymlinks: true });
    renameSync(partial, plan.output);
  }
  await train(plan);
  console.log(`${plan.output} is complete`);
}

await runMain(async (args) => {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      output: { type: 'string' },
      seeds: { type: 'string', default: '1,2,3' },
      'evaluate-every': { type: 'string', default: '40' },
      lanes: { type: 'string', default: '1' },
      title: { type: 'string', default: 'Algorithms at equal samples' },
    },
  });
  const [config] = positionals;
  if (config === undefined || values.output === undefined) throw new ToolError('usage: CONFIG.yaml --output DIR');
  const options = { config, output: values.output, evaluateEvery: Number(values['evaluate-every']) };
  const seeds = values.seeds.split(',').map(Number);
  mkdirSync(options.output, { recursive: true });
  const { stages } = settingsOf(config, seeds[0]);
  const variants = Object.entries(variantsOf(stages));
  const warm = new Map(seeds.map((seed) => [seed, writeConfig(options, seed, 'warm-up')]));
  await inLanes(
    [...warm.values()].map((plan) => () => train(plan)),
    Number(values.lanes),
  );
  const plans = variants.map(([name, stage]) => ({
    name,
    runs: seeds.map((seed) => ({ seed, plan: writeConfig(options, seed, name, stage) })),
  }));
  const jobs = plans.flatMap(({ runs }) =>
    runs.map(
      ({ seed, plan }) =>
        () =>
          branch(warm.get(seed), plan),
    ),
  );
  await inLanes(jobs, Number(values.lanes));
  const { prompts, group } = stages.at(-1);
  const fromStep = String(warm.get(seeds[0]).steps);
  run(process.execPath, [
    join(root, 'scripts/learning-curves.mjs'),
    ...['--output', join(options.output, 'curves.svg'), '--from-step', fromStep],
    ...['--samples-per-step', String(prompts * group), '--title', values.title],
    ...plans.map(({ name, runs }) => `${name}=${runs.map(({ plan }) => plan.output).join(',')}`),
  ]);
});
