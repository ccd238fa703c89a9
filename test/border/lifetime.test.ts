import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cmakeAddon, gypAddon, runChild, slowConfig, tinyConfig } from './support.js';

const addon = existsSync(cmakeAddon) ? cmakeAddon : gypAddon;
const slow = JSON.stringify(slowConfig);

describe('ends in mid-work', () => {
  it('process.exit during a call ends at once with its own status', async () => {
    const child = await runChild('long-call.mjs', [addon, 'exit', slow]);
    expect(child).toMatchObject({ status: 7, signal: null, stdout: 'exiting\n' });
    expect(child.seconds).toBeLessThan(20);
  });

  it('an uncaught error during a call ends with that error', async () => {
    const child = await runChild('long-call.mjs', [addon, 'throw', slow]);
    expect(child).toMatchObject({ status: 1, signal: null });
    expect(child.stderr).toContain('uncaught on purpose');
  });

  it('an open but idle session does not keep the process alive', async () => {
    const child = await runChild('long-call.mjs', [addon, 'idle', slow]);
    expect(child).toMatchObject({ status: 0, signal: null, stdout: 'idle\n' });
  });

  it('a call that nobody awaits still settles', async () => {
    const child = await runChild('long-call.mjs', [addon, 'pending', slow]);
    expect(child).toMatchObject({ status: 0, signal: null, stdout: 'ERR_ABORTED\n' });
  });

  it.each(['terminate', 'worker-exit'])(
    'worker threads end in mid-work (%s) beside a living session',
    async (ending) => {
      const child = await runChild('long-call.mjs', [addon, ending, slow]);
      expect(child).toMatchObject({ status: 0, signal: null, stdout: 'survived\n', stderr: '' });
    },
  );
});

describe('worker threads', () => {
  it('two workers, each with a session, agree bit for bit', async () => {
    const child = await runChild('two-workers.mjs', [addon, JSON.stringify(tinyConfig)]);
    expect(child).toMatchObject({ status: 0, signal: null, stdout: 'same\n', stderr: '' });
  });
});

describe('memory', () => {
  const modelMebibytes = 7; // at least: the packed weights
  interface Usage {
    before: number;
    after: number;
    peak: number;
    rounds: number;
  }
  async function usage(ending: string): Promise<Usage> {
    const child = await runChild('memory.mjs', [addon, ending, slow], { flags: ['--expose-gc'] });
    expect(child).toMatchObject({ status: 0, signal: null, stderr: '' });
    return JSON.parse(child.stdout) as Usage;
  }

  it('200 create and dispose cycles return what they took', async () => {
    const { before, after, peak } = await usage('dispose');
    expect(after - before).toBeLessThan(6 * modelMebibytes);
    expect(peak - before).toBeLessThan(10 * modelMebibytes);
  });

  it('models that are dropped are collected, and V8 knows their size', async () => {
    const { before, after, peak, rounds } = await usage('gc');
    expect(after - before).toBeLessThan(6 * modelMebibytes);
    // V8 sees a handle as a few bytes; only what the addon reports makes it collect in time.
    expect(peak - before).toBeLessThan((rounds / 3) * modelMebibytes);
  });

  it('the measurement can fail: models that are kept do add up', async () => {
    const { before, after, rounds } = await usage('leak');
    expect(after - before).toBeGreaterThan((rounds / 2) * modelMebibytes);
  });
});
