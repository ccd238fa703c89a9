import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Model, openSession, type Session } from '../../lib/native/index.js';
import { rejection, tinyConfig } from '../border/support.js';

const folder = mkdtempSync(join(tmpdir(), 'winnow-weights-'));
const path = join(folder, 'model.safetensors');
const request = { sequences: [Int32Array.from({ length: 20 }, (_, i) => (i * 13) % 97)] };
let session: Session;
let model: Model;
beforeAll(async () => {
  session = openSession({ device: 'cpu', threads: 1 });
  const source = { kind: 'random', seed: 2, standardDeviation: 0.1 } as const;
  model = await session.createModel({ config: tinyConfig, dtype: 'f32', source });
  await model.save(path, 'f32');
});
afterAll(async () => {
  await session.close();
  rmSync(folder, { recursive: true });
});

const load = (paths: string[], config = tinyConfig) =>
  session.createModel({ config, dtype: 'f32', source: { kind: 'files', paths } });

describe('weights in safetensors', () => {
  it('score the same after a save and a load, bit for bit', async () => {
    const again = await load([path]);
    expect(await again.score(request)).toEqual(await model.score(request));
    await again.dispose();
  });

  it('may be saved over the file that they are mapped from', async () => {
    const again = await load([path]);
    const before = await again.score(request);
    await again.save(path, 'f32');
    expect(await again.score(request)).toEqual(before);
    await again.dispose();
  });

  it('rounds to bf16 when asked, and a bf16 file means those numbers', async () => {
    const narrow = join(folder, 'narrow.safetensors');
    await model.save(narrow, 'bf16');
    const again = await load([narrow]);
    const name = 'model.layers.0.mlp.up_proj.weight';
    const [wide, rounded] = [await model.readTensor(name), await again.readTensor(name)];
    for (const [index, value] of wide.entries()) {
      const difference = Math.abs((rounded[index] as number) - value);
      expect(difference).toBeLessThanOrEqual(Math.abs(value) / 256);
    }
    expect(rounded).not.toEqual(wide);
    await again.dispose();
  });

  it('refuses a file that was cut short, one of another shape, and one that lacks a tensor', async () => {
    const cut = join(folder, 'cut.safetensors');
    writeFileSync(cut, readFileSync(path));
    truncateSync(cut, 5000);
    expect((await rejection(load([cut]))).code).toBe('ERR_FILE_FORMAT');
    expect((await rejection(load([path], { ...tinyConfig, feedForward: 80 }))).code).toMatch(
      /ERR_(SHAPE|TENSOR_SHAPE)/,
    );
    expect((await rejection(load([path], { ...tinyConfig, layers: 3 }))).code).toBe('ERR_TENSOR_MISSING');
    expect((await rejection(load([path, path]))).code).toBe('ERR_FILE_FORMAT');
  });

  it('names a folder that cannot be written', async () => {
    const error = await rejection(model.save(join(folder, 'absent', 'x.safetensors'), 'f32'));
    expect(error).toMatchObject({ name: 'WinnowError', code: 'ERR_FILE_WRITE' });
  });
});
