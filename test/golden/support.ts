import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Model, readModelFolder, type Session } from '../../lib/native/index.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const fixtureModels = join(root, 'test/fixtures/models');
export const fixtureNames: readonly string[] = readdirSync(fixtureModels).sort();

/** What scripts/make-fixtures.py wrote; see its docstring. */
export interface Golden {
  readonly sequences: readonly (readonly number[])[];
  readonly weights: readonly (readonly number[])[];
  /** Per sequence, for tokens 1 .. n - 1. */
  readonly logprobs_f64: readonly (readonly number[])[];
  readonly logprobs_f32: readonly (readonly number[])[];
  readonly logprobs_bf16: readonly (readonly number[])[];
  readonly greedy: readonly { readonly prompt: readonly number[]; readonly continuation: readonly number[] }[];
  readonly loss: { readonly f64: number };
  readonly gradientDistance_bf16: Readonly<Record<string, number>>;
}

export function readGolden(name: string): Golden {
  return JSON.parse(readFileSync(join(fixtureModels, name, 'golden.json'), 'utf8')) as Golden;
}

/** Reads the f32 tensors of a safetensors file; independent of the engine's reader. */
export function readTensors(path: string): Map<string, Float32Array> {
  const bytes = readFileSync(path);
  const headerSize = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerSize)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Float32Array>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [begin, end] = entry.data_offsets.map((offset) => offset + 8 + headerSize) as [number, number];
    tensors.set(name, new Float32Array(Uint8Array.from(bytes.subarray(begin, end)).buffer));
  }
  return tensors;
}

export function openModel(session: Session, folder: string, dtype: 'f32' | 'bf16'): Promise<Model> {
  const { config, weightFiles } = readModelFolder(folder);
  return session.createModel({ config, dtype, source: { kind: 'files', paths: weightFiles } });
}

export const asTokens = (sequences: readonly (readonly number[])[]): Int32Array[] =>
  sequences.map((sequence) => Int32Array.from(sequence));

/** Absolute differences of scores (first entry NaN) from golden rows (first token left out). */
export function differences(scores: readonly Float32Array[], rows: readonly (readonly number[])[]): number[] {
  return scores.flatMap((score, s) => {
    const row = rows[s] ?? [];
    if (score.length !== row.length + 1 || !Number.isNaN(score[0])) throw new Error(`sequence ${s}: wrong layout`);
    return row.map((value, i) => Math.abs(value - (score[i + 1] as number)));
  });
}

export const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;

/** |found - truth| / |truth| in the Euclidean norm. */
export function relativeDistance(found: Float32Array, truth: Float32Array): number {
  if (found.length !== truth.length) throw new Error(`${found.length} values, expected ${truth.length}`);
  let difference = 0;
  let norm = 0;
  truth.forEach((value, i) => {
    difference += ((found[i] as number) - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(difference / norm);
}

/** The folder of real model files, or undefined; WINNOW_DATA overrides where the development data lies. */
export function realModelsFolder(): string | undefined {
  const folder = join(process.env.WINNOW_DATA ?? resolve(root, '../shared/data'), 'models');
  return existsSync(folder) ? folder : undefined;
}
