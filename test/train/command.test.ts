/** `winnow train` as a process: what it prints, how it ends, and that signals lose nothing. Runs on the compiled library. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { TrainConfig } from '../../lib/train/config.js';
import { tinyRun } from './tiny-run.js';

const kWinnow = fileURLToPath(new URL('../../bin/winnow.js', import.meta.url));

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command; `onError` sees what has come on stderr so far and may act on the process. */
function winnow(args: readonly string[], onError?: (text: string, kill: (signal: NodeJS.Signals) => void) => void) {
  return new Promise<Outcome>((resolve, reject) => {
    const child = spawn(process.execPath, [kWinnow, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (text) => {
      stdout += text;
    });
    child.stderr.on('data', (text) => {
      stderr += text;
      onError?.(stderr, (signal) => child.kill(signal));
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

function yamlOf(change: Partial<TrainConfig> = {}): { path: string; output: string } {
  const folder = mkdtempSync(join(tmpdir(), 'winnow-command-'));
  const path = join(folder, 'run.yaml');
  const output = join(folder, 'run');
  writeFileSync(path, stringify({ ...tinyRun(output), ...change }));
  return { path, output };
}

describe('winnow train', () => {
  it('makes a run folder, prints its model and its report, and reports progress on stderr', async () => {
    const { path, output } = yamlOf();
    const { code, stdout, stderr } = await winnow(['train', path, '--set', 'stages.1.steps=2', '--threads', '1']);
    expect(stderr).toContain('completed at step 8');
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([`${output}/checkpoints/step-00000008`, `${output}/report.html`, '']);
    expect(readFileSync(join(output, 'report.html'), 'utf8')).toContain('after grpo');
  });

  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    it(`ends in order on ${signal}, with a checkpoint, and resumes`, async () => {
      const { path, output } = yamlOf({ checkpoint: { every: 1000, keep: 2 } });
      let sent = false;
      const stopped = await winnow(['train', path, '--json'], (text, kill) => {
        if (sent || !text.includes('"stage_step":2')) return;
        sent = true;
        kill(signal);
      });
      expect(stopped.code).toBe(exitCode);
      const lines = stopped.stderr.trimEnd().split('\n');
      expect(lines.at(-1)).toMatch(/^error\[ERR_INTERRUPTED\]/);
      expect(lines.at(-2)).toContain('"status":"stopped"');
      expect(existsSync(join(output, 'checkpoints', 'latest'))).toBe(true);
      const resumed = await winnow(['train', path, '--resume', '--json']);
      expect(resumed.code).toBe(0);
      expect(JSON.parse(resumed.stdout)).toMatchObject({ status: 'completed', step: 12 });
    });
  }

  it('fails with one line and a hint, before anything is made, for settings that cannot work', async () => {
    const { path, output } = yamlOf();
    const cases: [args: string[], line: RegExp][] = [
      [['--set', 'stages.1.gruop=2'], /^error\[ERR_CONFIG_KEY\].*hint: did you mean stages\.1\.group\?\n$/],
      [['--set', 'stages.1.group=1'], /^error\[ERR_CONFIG\].*a group of 1 has no baseline.*hint: .*\n$/],
      [['--set', 'output=/dev/null/run'], /^error\[ERR_OUTPUT\].*\n$/],
    ];
    for (const [args, line] of cases) {
      const { code, stdout, stderr } = await winnow(['train', path, ...args]);
      expect(stderr).toMatch(line);
      expect(code).toBe(1);
      expect(stdout).toBe('');
    }
    expect(existsSync(output)).toBe(false);
  });
});
