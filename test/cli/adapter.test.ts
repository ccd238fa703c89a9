/** --adapter and `winnow merge`, as a user runs them. */
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { winnow } from './support.js';

const kFixtures = fileURLToPath(new URL('../fixtures', import.meta.url));
const base = join(kFixtures, 'losses', 'model');
const adapter = join(kFixtures, 'lora', 'rank-stabilised');
const golden = JSON.parse(readFileSync(join(adapter, 'golden.json'), 'utf8')) as {
  readonly sequences: readonly (readonly number[])[];
  readonly logprobs: readonly (readonly number[])[];
};
const folder = mkdtempSync(join(tmpdir(), 'winnow-adapter-cli-'));
const input = join(folder, 'in.jsonl');
writeFileSync(input, golden.sequences.map((tokens) => `${JSON.stringify({ tokens })}\n`).join(''));

function scores(...args: string[]): (number | null)[][] {
  const result = winnow(['score', '--input', input, '--output', '-', '--device', 'cpu', ...args]);
  expect(result.status, result.stderr).toBe(0);
  const lines = result.stdout.trim().split('\n');
  return lines.map((line) => (JSON.parse(line) as { logprobs: (number | null)[] }).logprobs);
}

const distance = (rows: readonly (readonly (number | null)[])[]) =>
  Math.max(
    ...rows.flatMap((row, s) => row.slice(1).map((v, i) => Math.abs((v ?? 0) - (golden.logprobs[s]?.[i] ?? 9)))),
  );

describe('an adapter on the command line', () => {
  it('scores as PEFT does, and so do the merged weights', () => {
    expect(distance(scores('--model', base))).toBeGreaterThan(0.1);
    expect(distance(scores('--model', base, '--adapter', adapter))).toBeLessThan(1e-5);
    const output = join(folder, 'merged');
    const merged = winnow(['merge', '--model', base, '--adapter', adapter, '--output', output]);
    expect([merged.status, merged.stdout]).toEqual([0, `${output}\n`]);
    expect(distance(scores('--model', output))).toBeLessThan(1e-5);
    const again = winnow(['merge', '--model', base, '--adapter', adapter, '--output', output]);
    expect([again.status, again.stderr]).toEqual([1, expect.stringMatching(/^error\[ERR_OUTPUT_EXISTS\]/)]);
  });

  it('generates with it, the same tokens as the merged model', () => {
    const output = join(folder, 'merged-to-generate');
    winnow(['merge', '--model', base, '--adapter', adapter, '--output', output]);
    const greedy = ['--input', input, '--output', '-', '--temperature', '0', '--max-tokens', '8', '--ignore-eos'];
    const tokens = (...args: string[]) => {
      const lines = winnow(['generate', ...greedy, ...args])
        .stdout.trim()
        .split('\n');
      return lines.map((line) => (JSON.parse(line) as { completions: { tokens: number[] }[] }).completions[0]?.tokens);
    };
    const own = tokens('--model', base, '--adapter', adapter);
    expect(own).toHaveLength(golden.sequences.length);
    expect(own).toEqual(tokens('--model', output));
    expect(own).not.toEqual(tokens('--model', base));
  });

  it('is refused before weights are read when it does not fit', () => {
    const line = (...args: string[]) =>
      winnow(['score', '--input', input, '--output', '-', ...args]).stderr.split('\n')[0];
    expect(line('--model', adapter)).toMatch(/^error\[ERR_FILE_OPEN\].*--adapter/);
    expect(line('--model', base, '--adapter', base)).toMatch(/^error\[ERR_FILE_OPEN\].*adapter_config/);
    const other = join(folder, 'other');
    mkdirSync(other);
    const raw = JSON.parse(readFileSync(join(adapter, 'adapter_config.json'), 'utf8')) as object;
    const write = (change: object) =>
      writeFileSync(join(other, 'adapter_config.json'), JSON.stringify({ ...raw, ...change }));
    writeFileSync(join(other, 'adapter_model.safetensors'), readFileSync(join(adapter, 'adapter_model.safetensors')));
    write({ use_dora: true });
    expect(line('--model', base, '--adapter', other)).toMatch(/^error\[ERR_ADAPTER_CONFIG\].*use_dora/);
    write({ target_modules: ['q_proj', 'c_attn'] });
    expect(line('--model', base, '--adapter', other)).toMatch(/^error\[ERR_ADAPTER_TARGET\].*c_attn/);
    write({ r: 4 });
    expect(line('--model', base, '--adapter', other)).toMatch(/^error\[ERR_TENSOR_SHAPE\]/);
  });
});
