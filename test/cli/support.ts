import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSession, writeModelConfig } from '../../lib/native/index.js';
import { buildWordTokenizer } from '../../lib/text/index.js';

const program = fileURLToPath(new URL('../../bin/winnow.js', import.meta.url));

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built command as a user would. */
export function winnow(args: readonly string[], input = ''): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8', input });
  return { status, stdout, stderr };
}

export function startWinnow(args: readonly string[]) {
  return spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** The code of the error, after checking that stderr is exactly one line of the documented form. */
export function errorCode({ stderr }: Outcome): string {
  const match = stderr.match(/^error\[(ERR_[A-Z0-9_]+)\]: [^\n]+\n$/);
  if (!match) throw new Error(`not one error line: ${JSON.stringify(stderr)}`);
  return match[1] as string;
}

export const makeFolder = (): string => mkdtempSync(join(tmpdir(), 'winnow-cli-'));
export const removeFolder = (folder: string): void => rmSync(folder, { recursive: true, force: true });

export function writeLines(path: string, records: readonly unknown[]): string {
  writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  return path;
}

export function readLines<T>(path: string): T[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  if (lines.pop() !== '') throw new Error(`${path} does not end in a line break`);
  return lines.map((line) => JSON.parse(line) as T);
}

/** A model folder with random weights and a word tokenizer over `texts`, as `train` would leave it. */
export async function makeModelFolder(folder: string, texts: readonly string[]): Promise<string> {
  const tokenizer = buildWordTokenizer(texts);
  const config = {
    vocabulary: tokenizer.vocabularySize,
    width: 32,
    feedForward: 48,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headDim: 8,
    maxPositions: 4096,
    normEpsilon: 1e-6,
    qkvBias: false,
    outputBias: false,
    qkNorm: true,
    tiedHead: true,
    ropeTheta: 10_000,
    ropeScaling: 'none' as const,
    ropeFactor: 1,
    ropeLowFrequency: 1,
    ropeHighFrequency: 4,
    ropeOriginalPositions: 0,
  };
  const session = openSession({ device: 'cpu', threads: 1 });
  const source = { kind: 'random' as const, seed: 3, standardDeviation: 0.3 };
  const model = await session.createModel({ config, dtype: 'f32', source });
  mkdirSync(folder, { recursive: true });
  await model.save(join(folder, 'model.safetensors'), 'f32');
  writeModelConfig(folder, config, { eosTokenIds: [tokenizer.eosTokenId as number] });
  tokenizer.saveTo(folder);
  await session.close();
  return folder;
}
