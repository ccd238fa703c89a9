import { describe, expect, it } from 'vitest';
import { exclusionProtocol } from '../../lib/protocol/index.js';
import { type RewardEntry, type RewardFunction, rewardAll } from '../../lib/train/reward-function.js';
import { train } from '../../lib/train/trainer.js';
import { events, fake, file, makeConfig } from './fake-run.js';

const entry = (id: string): RewardEntry => ({
  instance: { id, task: 't', context: '', candidates: [], relevance: [] },
  prompt: { messages: [], prefix: '', labels: new Map() },
  completion: { tokens: new Int32Array(1), text: id, logprobs: new Float32Array(1), stop: 'stop_token' },
  answer: { ok: true, ids: [], thought: '' },
});
const batch = ['a', 'a', 'b', 'c', 'd'].map(entry);
const never = new AbortController().signal;
const rewards = (reward: unknown, rewardTimeoutMs = 5000, signal = never) =>
  rewardAll(reward as RewardFunction, batch, { rewardTimeoutMs, signal });
const later = <T>(ms: number, value: T) => new Promise<T>((resolve) => setTimeout(resolve, ms, value));

describe('rewardAll', () => {
  it('calls once for the batch, and takes numbers, rewards with parts, and promises of them, in the order of the batch', async () => {
    let calls = 0;
    const mixed = await rewards(async (given: readonly RewardEntry[]) => {
      calls++;
      expect(given).toBe(batch);
      return [1, { value: 2, parts: { brevity: -1 } }, later(20, 3), later(1, { value: 4, parts: {} }), 5];
    });
    expect(calls).toBe(1);
    expect(mixed.map(({ value }) => value)).toEqual([1, 2, 3, 4, 5]);
    expect(mixed.map(({ parts }) => parts)).toEqual([{}, { brevity: -1 }, {}, {}, {}]);
    expect(await rewardAll(() => [], [], { signal: never })).toEqual([]);
  });

  it('runs the promises of a batch at once', async () => {
    const started = performance.now();
    await rewards((given: readonly RewardEntry[]) => given.map(() => later(100, 0)));
    expect(performance.now() - started).toBeLessThan(400);
  });

  it('names the instance of the one that failed, and keeps the cause', async () => {
    const cause = new TypeError('judge is down');
    const one = rewards((given: readonly RewardEntry[]) =>
      given.map(async ({ instance }) => {
        if (instance.id === 'c') throw cause;
        return 1;
      }),
    );
    await expect(one).rejects.toMatchObject({
      ...{
        code: 'ERR_REWARD',
        message: 'the reward of instance c failed',
        received: 'TypeError: judge is down',
        cause,
      },
    });
    const all = rewards(() => {
      throw cause;
    });
    await expect(all).rejects.toMatchObject({ code: 'ERR_REWARD', cause });
    await expect(all).rejects.toThrow('the reward of instances a, b, c and 1 more failed');
  });

  it('refuses what is no reward for each completion', async () => {
    for (const answer of [[1, 2, 3, 4], [1, 2, 3, 4, 5, 6], undefined, 7, 'abcde']) {
      await expect(rewards(() => answer)).rejects.toMatchObject({
        ...{ code: 'ERR_REWARD', expected: 'an array of 5, one for each completion' },
      });
    }
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, undefined, null, '1', true, {}]) {
      await expect(
        rewards(() => [1, 1, bad, 1, 1]),
        String(bad),
      ).rejects.toMatchObject({
        ...{ code: 'ERR_REWARD', message: 'the reward of instance b is not a number' },
      });
    }
    for (const bad of [
      { value: Number.NaN, parts: {} },
      { value: 1, parts: { x: Number.NaN } },
      { value: 1, parts: { x: '2' } },
    ]) {
      await expect(rewards(() => [1, 1, bad, 1, 1])).rejects.toThrow('the reward of instance b is not a number');
    }
  });

  it('ends when the time is up, names who is missing, and tells the function', async () => {
    let told: unknown;
    const slow: RewardFunction = (given, { signal }) => {
      signal.addEventListener('abort', () => {
        told = signal.reason;
      });
      return given.map(({ instance }) => (instance.id === 'd' ? later(10_000, 1) : 1));
    };
    const late = rewards(slow, 50);
    await expect(late).rejects.toMatchObject({
      ...{ code: 'ERR_REWARD', message: 'the reward of instance d took too long', expected: 'an answer within 50 ms' },
    });
    expect(told).toMatchObject({ code: 'ERR_REWARD' });
    await expect(rewards(() => new Promise(() => {}), 20)).rejects.toThrow(
      'instances a, b, c and 1 more took too long',
    );
  });

  it('ends with the run', async () => {
    const run = new AbortController();
    const waiting = rewards(() => new Promise(() => {}), 5000, run.signal);
    run.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    let called = false;
    const after = rewards(() => (called = true), 5000, run.signal);
    await expect(after).rejects.toThrow('enough');
    expect(called).toBe(false);
  });
});

describe('a run with a reward of its own', () => {
  const config = () => makeConfig({ evaluation: undefined as never });

  it('gives it every completion of a step at once, with what the protocol read, and trains on what it says', async () => {
    const sizes: number[] = [];
    const reward: RewardFunction = async (given) => {
      sizes.push(given.length);
      return given.map(({ answer, completion }, index) => {
        expect(answer.ok).toBe(completion.text.includes('<answer>'));
        return { value: index % 4, parts: { place: index % 4 } };
      });
    };
    const all = await events(config(), { ...fake(), reward });
    expect(sizes).toEqual(Array(6).fill(16));
    const last = all.findLast((event) => event.type === 'step')?.record.metrics;
    expect(last).toMatchObject({ reward: 1.5, 'rewards/place/mean': 1.5, frac_reward_zero_std: 0 });
  });

  it('gives the bytes of the same reward in the protocol', async () => {
    const protocol = exclusionProtocol({ wording: 'compact' });
    const [own, built] = [config(), config()];
    const reward: RewardFunction = (given) =>
      given.map(async ({ instance, prompt, answer }, index) => {
        await later(given.length - index, undefined);
        return protocol.reward(instance, prompt, answer);
      });
    await train(own, { ...fake(), reward });
    await train(built, fake());
    expect(file(own, 'metrics.jsonl')).toBe(file(built, 'metrics.jsonl'));
  });

  it('stops with the instance named when it throws, is late, or gives no number', async () => {
    const bad: RewardFunction[] = [
      (given) => given.map(() => Promise.reject(new Error('remote'))),
      (given) => given.map(() => new Promise<number>(() => {})),
      (given) => given.map(() => Number.NaN),
    ];
    for (const reward of bad) {
      const run = train(config(), { ...fake(), reward, rewardTimeoutMs: 100 });
      await expect(run).rejects.toMatchObject({ code: 'ERR_REWARD', message: expect.stringContaining('synthetic/') });
    }
  });

  it('refuses options that cannot be used before anything begins', () => {
    for (const own of [
      { reward: 'short' },
      { rewardTimeoutMs: 0 },
      { rewardTimeoutMs: Number.NaN },
      { rewardTimeoutMs: 2 ** 31 },
    ]) {
      expect(() => train(config(), own as never), JSON.stringify(own)).toThrowError(
        expect.objectContaining({ code: 'ERR_ARGUMENT' }),
      );
    }
    const { advance: _, ...lacking } = exclusionProtocol({});
    expect(() => train(config(), { protocol: lacking as never })).toThrow('the protocol has no method advance');
  });
});
