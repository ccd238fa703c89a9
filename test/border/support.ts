import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type {
  Addon,
  CallControl,
  ModelHandle,
  NativeModelConfig,
  SessionHandle,
} from '../../lib/native/addon-types.js';

export const root = fileURLToPath(new URL('../../', import.meta.url));
export const cmakeAddon = `${root}build/native/winnow.node`;
export const gypAddon = `${root}build/native-gyp/winnow.node`;

/** The addon itself, without the TypeScript layer. */
export function rawAddon(): Addon {
  const path = existsSync(cmakeAddon) ? cmakeAddon : gypAddon;
  return createRequire(import.meta.url)(path) as Addon;
}

/** A Qwen2-like decoder with odd sizes. */
export const tinyConfig: NativeModelConfig = {
  vocabulary: 97,
  width: 48,
  feedForward: 72,
  layers: 2,
  heads: 6,
  kvHeads: 2,
  headDim: 8,
  maxPositions: 512,
  normEpsilon: 1e-6,
  qkvBias: true,
  outputBias: false,
  qkNorm: false,
  tiedHead: true,
  ropeTheta: 10000,
  ropeScaling: 'none',
  ropeFactor: 1,
  ropeLowFrequency: 1,
  ropeHighFrequency: 4,
  ropeOriginalPositions: 0,
};

/** Large enough that a long score takes a good part of a second, and that its memory is seen. */
export const slowConfig: NativeModelConfig = {
  ...tinyConfig,
  vocabulary: 997,
  width: 256,
  feedForward: 768,
  layers: 2,
  heads: 8,
  kvHeads: 4,
  headDim: 32,
  maxPositions: 4096,
};

let nextId = 1;
export const control = (): CallControl => ({ id: nextId++ });

export function createModel(
  addon: Addon,
  session: SessionHandle,
  config: NativeModelConfig = tinyConfig,
): Promise<ModelHandle> {
  const source = { kind: 'random', seed: 3, standardDeviation: 0.1 } as const;
  return addon.createModel(session, { config, dtype: 'f32', source }, control());
}

/** `sequences` sequences of `length` tokens that share nothing. */
export function longScore(sequences: number, length: number, vocabulary: number) {
  const tokens = Int32Array.from(
    { length: sequences * length },
    (_, i) => (i * 7919 + Math.floor(i / length)) % vocabulary,
  );
  const offsets = Float64Array.from({ length: sequences + 1 }, (_, s) => s * length);
  return { tokens, offsets, temperature: 1, maxBatchTokens: 64, adapter: true };
}

export interface ChildResult {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  seconds: number;
}

/** Runs test/border/children/<script> in a process of its own. */
export function runChild(
  script: string,
  args: string[] = [],
  options: { env?: Record<string, string>; flags?: string[] } = {},
): Promise<ChildResult> {
  const path = fileURLToPath(new URL(`children/${script}`, import.meta.url));
  const started = performance.now();
  const child = spawn(process.execPath, [...(options.flags ?? []), path, ...args], {
    env: { ...process.env, NODE_OPTIONS: '', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) =>
      resolve({ status, signal, stdout, stderr, seconds: (performance.now() - started) / 1000 }),
    );
  });
}

/** The rejection of a promise, or a failure when it resolves. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  try {
    await promise;
  } catch (error) {
    return error as Error & { code?: string };
  }
  throw new Error('the promise was expected to reject');
}
