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

  it('stops at once on a second signal, in the middle of a step', async () => {
    const { path, output } = yamlOf({
      // One step of half a minute: the first signal waits for its end.
      stages: [{ kind: 'grpo', steps: 1, prompts: 256, group: 128, maxTokens: 100, learningRate: 0.001 }],
      evaluation: undefined as never,
    });
    let [first, second] = [0, 0];
    const { code, stdout } = await winnow(['train', path, '--json'], (text, kill) => {
      if (first > 0 || !text.includes('"type":"start"')) return;
      setTimeout(() => {
        first = performance.now();
        kill('SIGINT');
      }, 300);
      setTimeout(() => {
        second = performance.now();
        kill('SIGTERM');
      }, 1300);
    });
    expect(code).toBe(143);
    // Not before the second one, and hardly after it.
    expect(performance.now() - first).toBeGreaterThan(900);
    expect(performance.now() - second).toBeLessThan(5000);
    expect(stdout).toBe('');
    expect(existsSync(join(output, 'checkpoints'))).toBe(false);
  });

  it('prints a plan and writes nothing with --dry-run', async () => {
    const { path, output } = yamlOf();
    const { code, stdout, stderr } = await winnow(['train', path, '--dry-run']);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    for (const part of ['parameters, f32', 'stage warm-up (sft): 6 steps', '  | <think>', 'Nothing was written.']) {
      expect(stdout).toContain(part);
    }
    const plan = JSON.parse((await winnow(['train', path, '--dry-run', '--json'])).stdout);
    expect(plan.stages.map(({ kind }: { kind: string }) => kind)).toEqual(['sft', 'grpo']);
    expect(existsSync(output)).toBe(false);
  });

  it('takes a preset, and refuses one that is not there', async () => {
    const { output } = yamlOf();
    const plan = await winnow(['train', '--preset', 'grpo-small', '--set', `output=${output}`, '--dry-run']);
    expect([plan.code, plan.stderr]).toEqual([0, '']);
    expect(plan.stdout).toContain('stage GRPO (grpo): 320 steps');
    const cases: [args: string[], line: RegExp, code: number][] = [
      [['--preset', 'grpo-smal'], /^error\[ERR_PRESET_UNKNOWN\].*did you mean grpo-small\?\n$/, 1],
      [[], /^error\[ERR_USAGE\].*--preset.*\n$/, 2],
    ];
    for (const [args, line, code] of cases) {
      const refused = await winnow(['train', ...args]);
      expect(refused.stderr).toMatch(line);
      expect(refused.code).toBe(code);
    }
  });

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
