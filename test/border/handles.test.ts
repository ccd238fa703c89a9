import { totalmem } from 'node:os';
import { afterAll, describe, expect, it } from 'vitest';
import type { ModelHandle, SessionHandle } from '../../lib/native/addon-types.js';
import { control, createModel, rawAddon, rejection, tinyConfig } from './support.js';

const addon = rawAddon();
const session = addon.openSession({ device: 'cpu', threads: 1 });
afterAll(() => addon.closeSession(session));

const request = {
  tokens: Int32Array.of(1, 2, 3),
  offsets: Float64Array.of(0, 3),
  temperature: 1,
  maxBatchTokens: 64,
  adapter: true,
};

describe('handles', () => {
  it('refuses what is no handle', async () => {
    for (const wrong of [undefined, null, 1, 'model', {}, [], () => {}, new Proxy({}, {}), Object.create(session)]) {
      const error = await rejection(addon.score(wrong as unknown as ModelHandle, request, control()));
      expect(error.code).toBe('ERR_HANDLE');
      expect(() => addon.cancelCall(wrong as unknown as SessionHandle, 1)).toThrow(/wrong handle/);
    }
  });

  it('refuses a session where a model belongs, and the other way round', async () => {
    const model = await createModel(addon, session);
    expect((await rejection(addon.score(session as unknown as ModelHandle, request, control()))).code).toBe(
      'ERR_HANDLE',
    );
    expect((await rejection(createModel(addon, model as unknown as SessionHandle))).code).toBe('ERR_HANDLE');
    expect((await rejection(addon.closeSession(model as unknown as SessionHandle))).code).toBe('ERR_HANDLE');
    await addon.disposeModel(model);
  });

  it('refuses a copy of a handle', async () => {
    const model = await createModel(addon, session);
    const copy = { ...model } as ModelHandle;
    expect((await rejection(addon.score(copy, request, control()))).code).toBe('ERR_HANDLE');
    expect(() => structuredClone(model)).not.toThrow();
    expect((await rejection(addon.score(structuredClone(model), request, control()))).code).toBe('ERR_HANDLE');
    await addon.disposeModel(model);
  });

  it('refuses a disposed model, and disposing again is allowed', async () => {
    const model = await createModel(addon, session);
    await addon.disposeModel(model);
    await addon.disposeModel(model);
    const calls = [
      addon.score(model, request, control()),
      addon.enableTraining(model, { moments: 'f32', masters: 'f32' }, control()),
      addon.saveModel(model, { path: '/tmp/x', dtype: 'f32' }, control()),
      addon.readTensor(model, { name: 'model.norm.weight', what: 'value' }, control()),
    ];
    for (const call of calls) expect((await rejection(call)).code).toBe('ERR_DISPOSED');
  });

  it('waits for the running call before it frees a model', async () => {
    const model = await createModel(addon, session);
    const score = addon.score(model, request, control());
    const disposal = addon.disposeModel(model);
    expect(await score).toHaveLength(3);
    await disposal;
  });

  it('refuses everything after the session closed, and closing again is allowed', async () => {
    const other = addon.openSession({ device: 'cpu', threads: 1 });
    const model = await createModel(addon, other);
    const score = addon.score(model, request, control());
    const closings = [addon.closeSession(other), addon.closeSession(other)];
    expect(await score).toHaveLength(3);
    await Promise.all(closings);
    await addon.closeSession(other);
    expect((await rejection(addon.score(model, request, control()))).code).toBe('ERR_SESSION_CLOSED');
    expect((await rejection(createModel(addon, other))).code).toBe('ERR_SESSION_CLOSED');
    await addon.disposeModel(model);
    addon.cancelCall(other, 1);
    expect(addon.sessionInfo(other).threads).toBe(1);
  });

  it('tells the memory that is left, which is less than the machine has', () => {
    const left = addon.availableBytes(session);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(totalmem());
  });

  it('keeps two sessions apart', async () => {
    const other = addon.openSession({ device: 'reference', threads: 1 });
    expect(addon.sessionInfo(other).device).toBe('reference');
    const [a, b] = await Promise.all([createModel(addon, session), createModel(addon, other)]);
    const [scoreA, scoreB] = await Promise.all([
      addon.score(a, request, control()),
      addon.score(b, request, control()),
    ]);
    expect(scoreA[1]).toBeCloseTo(scoreB[1] as number, 4);
    await addon.closeSession(other);
    expect(await addon.score(a, request, control())).toEqual(scoreA);
    await addon.disposeModel(a);
  });

  it('frees a model that was created while its session closes', async () => {
    const other = addon.openSession({ device: 'cpu', threads: 1 });
    const creation = createModel(addon, other, tinyConfig);
    await addon.closeSession(other);
    const model = await creation;
    expect((await rejection(addon.score(model, request, control()))).code).toBe('ERR_SESSION_CLOSED');
  });
});
