// Trains, or only writes checkpoints, until it is killed. Runs on the compiled library, as users do.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [, , work, folder, argument] = process.argv;

if (work === 'train') {
  const { train } = await import('../../dist/train/index.js');
  const run = train(JSON.parse(argument), { resume: true });
  for await (const event of run) process.stdout.write(`${event.type}\n`);
} else {
  const { newestCheckpoint, writeCheckpoint, checkpointName } = await import('../../dist/train/checkpoint.js');
  const last = newestCheckpoint(folder)?.name ?? checkpointName(0);
  process.stdout.write('ready\n');
  for (let step = Number(last.slice(5)) + 1; ; step++) {
    // A checkpoint is whole when every part of it is of its own step.
    const write = async (into) => {
      for (let part = 0; part < 24; part++) writeFileSync(join(into, `part-${part}`), `${step}\n`.repeat(5000));
    };
    if (work === 'atomic') {
      await writeCheckpoint(folder, checkpointName(step), { last: 2 }, write);
    } else {
      // What one would write first: straight into the folder that is read later, and over the one before.
      const into = join(folder, 'step-00000001');
      mkdirSync(into, { recursive: true });
      await write(into);
    }
  }
}
