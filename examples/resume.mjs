// @ts-check
// A run that is cut off and goes on in another process: node examples/resume.mjs [OUTPUT_FOLDER] [STEPS]
//
// This program starts itself as a child, kills the child without warning in the middle of the run, and starts it again. A third
// child makes the same run undisturbed. In the end the weights of both are the same, byte for byte.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { train } from 'winnow-rank';

const [output = `runs/resume-${Date.now()}`, steps = '60', role = 'parent'] = process.argv.slice(2);

/** The run itself. `resume` goes on from the newest complete checkpoint, and begins where there is none. */
async function work() {
  const run = train(
    {
      output,
      model: { scratch: { width: 32, layers: 2, heads: 4, maxPositions: 256 } },
      data: { task: { name: 'synthetic', users: 100, candidates: 4 } },
      protocol: { name: 'exclusion', wording: 'compact' },
      stages: [{ kind: 'sft', steps: Number(steps), batch: 8, learningRate: 3e-3 }],
      checkpoint: { every: 5, keep: 2 },
    },
    { resume: true },
  );
  for await (const event of run) {
    if (event.type === 'start') console.log(`begins at step ${event.step} of ${event.steps}`);
    if (event.type === 'step') console.log(`step ${event.record.step}`);
  }
}

/**
 * Starts a child, and kills it when it says `killAt`.
 *
 * @param {string} folder
 * @param {string} [killAt]
 */
function startChild(folder, killAt) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), folder, steps, 'child']);
    child.stderr.pipe(process.stderr);
    child.stdout.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
      for (const line of text.split('\n')) {
        if (line.startsWith('begins')) console.log(`${folder}: ${line}`);
        if (line === killAt && child.kill('SIGKILL')) console.log(`${folder}: killed at ${line}`);
      }
    });
    child.on('error', reject);
    child.on('close', resolve);
  });
}

if (role === 'child') {
  await work();
} else {
  await startChild(`${output}/cut`, `step ${Math.floor(Number(steps) / 2) + 2}`);
  await startChild(`${output}/cut`);
  await startChild(`${output}/whole`);
  const last = join('checkpoints', `step-${steps.padStart(8, '0')}`, 'model.safetensors');
  const same = readFileSync(join(output, 'cut', last)).equals(readFileSync(join(output, 'whole', last)));
  console.log(`weights of the cut run and of the whole one: ${same ? 'the same bytes' : 'DIFFERENT'}`);
  process.exitCode = same ? 0 : 1;
}
