import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Model, Session } from '../../lib/native/index.js';
import { openSession } from '../../lib/native/index.js';
import { rejection, slowConfig } from './support.js';

let session: Session;
let model: Model;
const source = { kind: 'random', seed: 5, standardDeviation: 0.05 } as const;
beforeAll(async () => {
  session = openSession({ device: 'cpu', threads: 1 });
  model = await session.createModel({ config: slowConfig, dtype: 'f32', source });
});
afterAll(() => session.close());

const sequence = (seed: number, length: number) =>
  Int32Array.from({ length }, (_, i) => (i * 31 + seed * 7919) % slowConfig.vocabulary);
const short = { sequences: [sequence(1, 5)] };
/** A good part of a second of work, in many micro-batches. */
const long = { sequences: Array.from({ length: 60 }, (_, s) => sequence(s, 200)), maxBatchTokens: 200 };

describe('calls', () => {
  it('runs calls made while busy in their order, and leaves the event loop free', async () => {
    const order: string[] = [];
    let ticks = 0;
    const timer = setInterval(() => ticks++, 2);
    const calls = ['first', 'second', 'third'].map((name, index) =>
      model.score({ sequences: [sequence(index, 200)] }).then(() => order.push(name)),
    );
    await Promise.all(calls);
    clearInterval(timer);
    expect(order).toEqual(['first', 'second', 'third']);
    expect(ticks).toBeGreaterThan(3);
  });

  it('gives the same result for a call alone and for one of many', async () => {
    const alone = await model.score(short);
    const many = await Promise.all(Array.from({ length: 8 }, () => model.score(short)));
    for (const result of many) expect(result).toEqual(alone);
  });

  it('rejects with the reason of a signal that is aborted already, without calling the engine', async () => {
    const reason = new Error('too late');
    const error = await rejection(model.score(short, { signal: AbortSignal.abort(reason) }));
    expect(error).toBe(reason);
  });

  it('stops a running call when its signal aborts, and rejects with the reason', async () => {
    const full = performance.now();
    await model.score(long);
    const fullMs = performance.now() - full;

    const controller = new AbortController();
    const reason = { stop: true };
    const started = performance.now();
    const call = model.score(long, { signal: controller.signal });
    setTimeout(() => controller.abort(reason), fullMs / 10);
    expect(await rejection(call)).toBe(reason);
    expect(performance.now() - started).toBeLessThan(fullMs * 0.7);
    expect(await model.score(short)).toHaveLength(1);
  });

  it('aborts a queued call before it starts', async () => {
    const controller = new AbortController();
    const running = model.score({ sequences: [sequence(1, 400)] });
    let calls = 0;
    const queued = model.score(long, { signal: controller.signal, onProgress: () => calls++ });
    controller.abort();
    expect((await rejection(queued)).name).toBe('AbortError');
    expect(calls).toBe(0);
    expect(await running).toHaveLength(1);
  });

  it('works with AbortSignal.timeout', async () => {
    const error = await rejection(model.score(long, { signal: AbortSignal.timeout(5) }));
    expect(error.name).toBe('TimeoutError');
  });

  it('reports progress that rises, ends at the total and comes at most every 50 ms', async () => {
    const seen: { done: number; total: number; at: number }[] = [];
    await model.score(long, { onProgress: (done, total) => seen.push({ done, total, at: performance.now() }) });
    const last = seen.at(-1);
    expect(last?.done).toBe(last?.total);
    expect(seen.length).toBeGreaterThan(1);
    for (const [index, report] of seen.entries()) {
      if (index > 0) expect(report.done).toBeGreaterThanOrEqual(seen[index - 1]?.done ?? 0);
      expect(report.total).toBe(last?.total);
    }
    const spanMs = (last?.at ?? 0) - (seen[0]?.at ?? 0);
    expect(seen.length).toBeLessThanOrEqual(spanMs / 45 + 3);
  });

  it('ends a call whose onProgress throws, with what it threw', async () => {
    const thrown = new Error('from the callback');
    const call = model.score(long, {
      onProgress: () => {
        throw thrown;
      },
    });
    expect(await rejection(call)).toBe(thrown);
    expect(await model.score(short)).toHaveLength(1);
  });

  it('allows calls from inside onProgress', async () => {
    let inner: Promise<Float32Array[]> | undefined;
    await model.score(long, {
      onProgress: () => {
        inner ??= model.score(short);
      },
    });
    expect(await inner).toHaveLength(1);
  });

  it("rejects with a WinnowError that carries the caller's stack", async () => {
    async function theCaller(): Promise<unknown> {
      return model.score({ sequences: [Int32Array.of(1, 5_000_000)] });
    }
    const error = await rejection(theCaller());
    expect(error).toMatchObject({ name: 'WinnowError', code: 'ERR_TOKEN_RANGE' });
    expect(error.stack).toContain('theCaller');
    expect(error.stack).toContain(error.message);
  });

  it('refuses unknown keys and arrays of the wrong kind with a readable path', async () => {
    const misspelt = { ...short, temprature: 0.5 };
    expect((await rejection(model.score(misspelt))).message).toContain('score.temprature');
    const plain = { sequences: [[1, 2, 3] as unknown as Int32Array] };
    expect((await rejection(model.score(plain))).message).toContain('score.sequences[0]');
    const weight = [new Float32Array(4)];
    const loss = { ...short, kind: 'supervised', weight } as const;
    expect((await rejection(model.accumulateGradients(loss))).message).toContain('accumulateGradients.weight[0]');
  });

  it('disposes with `await using`', async () => {
    let kept: Model;
    {
      await using other = openSession({ device: 'cpu', threads: 1 });
      await using scoped = await other.createModel({ config: slowConfig, dtype: 'bf16', source });
      expect(await scoped.score(short)).toHaveLength(1);
      kept = scoped;
    }
    expect((await rejection(kept.score(short))).code).toBe('ERR_DISPOSED');
  });

  it('is never silently another device than the one asked for', () => {
    expect(() => openSession({ device: 'cuda' })).toThrow(expect.objectContaining({ code: 'ERR_CUDA_NOT_BUILT' }));
    expect(openSession({ device: 'reference' }).device).toBe('reference');
  });
});
