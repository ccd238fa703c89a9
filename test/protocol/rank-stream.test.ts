import { describe, expect, it } from 'vitest';
import { type Generate, type RankingCall, rankAll, rankStream } from '../../lib/protocol/driver.js';
import { exclusionProtocol } from '../../lib/protocol/exclusion.js';
import { RandomStream } from '../../lib/random.js';
import type { Completion, Prompt, RankingInstance } from '../../lib/types.js';

function instanceOf(size: number, id: string): RankingInstance {
  return {
    id,
    task: 'Rec-Movie',
    context: 'Past',
    candidates: Array.from({ length: size }, (_, index) => ({ id: `c${index}`, text: `Movie ${index}` })),
    relevance: Array.from({ length: size }, () => 0),
  };
}

const protocol = exclusionProtocol();
const sizes = [3, 1, 6, 2, 9, 4, 4, 1, 7, 2];
const instances = sizes.map((size, index) => instanceOf(size, `q${index}`));

/** Answers by the key alone, now and then malformed. */
function answer(prompt: Prompt, key: number): Completion {
  const random = new RandomStream(key, 'answer');
  const text =
    random.integer(4) === 0 ? 'nonsense' : `t</think><answer>${random.pick([...prompt.labels.keys()])}</answer>`;
  return { text, stop: 'stop_token', tokens: new Int32Array(1 + random.integer(5)), logprobs: new Float32Array(0) };
}
const generate: Generate = async (prompts, { promptKeys }) =>
  prompts.map((prompt, index) => answer(prompt, promptKeys[index] as number));

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}

const malformed = { policy: 'retry', retries: 2 } as const;

describe('rankStream', () => {
  it('gives what rankAll gives, whatever the number in flight', async () => {
    const expected = await rankAll(protocol, instances, generate, { malformed });
    expect(expected.map(({ instanceId }) => instanceId)).toEqual(instances.map(({ id }) => id));
    expect(expected.some(({ malformed: reasons }) => Object.keys(reasons).length > 0)).toBe(true);
    for (const inFlight of [1, 2, 3, 10, 1000]) {
      const results = await collect(rankStream(protocol, instances, generate, { malformed, inFlight }));
      const byId = new Map(results.map((result) => [result.instanceId, result]));
      expect(results).toHaveLength(instances.length);
      expect(instances.map(({ id }) => byId.get(id))).toEqual(expected);
    }
  });

  it('keeps the rounds full, and draws an instance only when there is room', async () => {
    const asked: number[] = [];
    let [drawn, given] = [0, 0];
    async function* source() {
      for (const one of instances) {
        drawn++;
        // Never more than three open ones, and the one that is being drawn.
        expect(drawn - given).toBeLessThanOrEqual(4);
        yield one;
      }
    }
    const counted: Generate = (prompts, request) => {
      asked.push(prompts.length);
      return generate(prompts, request);
    };
    for await (const _ of rankStream(protocol, source(), counted, { inFlight: 3 })) given++;
    expect(given).toBe(instances.length);
    // One question an open instance and round: three, until the source is empty.
    const full = asked.filter((count) => count === 3).length;
    expect(asked.slice(0, full)).toEqual(new Array(full).fill(3));
    expect(asked.reduce((sum, count) => sum + count, 0)).toBe(sizes.reduce((sum, size) => sum + size - 1, 0));
    expect(full).toBeGreaterThan(asked.length / 2);
  });

  it('gives instances that need no question at once, before the source is empty', async () => {
    let drawn = 0;
    function* source() {
      for (; drawn < 100; drawn++) yield instanceOf(1, `q${drawn}`);
    }
    for await (const { calls } of rankStream(protocol, source(), generate, { inFlight: 5 })) {
      expect(calls).toBe(0);
      if (drawn < 10) return;
    }
    expect.unreachable();
  });

  it('tells of every call before the results that it led to', async () => {
    const calls: RankingCall[] = [];
    const onRound = async (round: readonly RankingCall[]): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve));
      calls.push(...round);
    };
    for await (const result of rankStream(protocol, instances, generate, { malformed, inFlight: 4, onRound })) {
      const own = calls.filter(({ instanceId }) => instanceId === result.instanceId);
      expect(
        own.map(({ shownIds, answer: one, attempt, used, completionTokens }) => [
          ...[shownIds, one, attempt, used, completionTokens],
        ]),
      ).toEqual(
        result.steps.map(({ shownIds, answer: one, attempt, used, completionTokens }) => [
          ...[shownIds, one, attempt, used, completionTokens],
        ]),
      );
      for (const { prompt, completion, answer: one } of own) expect(protocol.parse(prompt, completion)).toEqual(one);
    }
    const places = calls.map(({ instanceId, step, place, attempt }) => [instanceId, step, place, attempt].join(' '));
    expect(new Set(places).size).toBe(calls.length);
  });

  it('closes its source when the reader leaves, stops at a signal, and refuses none in flight', async () => {
    let closed = false;
    function* source() {
      try {
        yield* instances;
      } finally {
        closed = true;
      }
    }
    for await (const _ of rankStream(protocol, source(), generate, { inFlight: 2 })) break;
    expect(closed).toBe(true);
    const controller = new AbortController();
    const stop: Generate = (prompts, request) => {
      if (request.round === 2) controller.abort();
      return generate(prompts, request);
    };
    const stream = rankStream(protocol, instances, stop, { inFlight: 2, signal: controller.signal });
    await expect(collect(stream)).rejects.toThrow(/abort/i);
    for (const inFlight of [0, 1.5, Number.NaN]) {
      const none = rankStream(protocol, instances, generate, { inFlight });
      await expect(collect(none)).rejects.toMatchObject({ code: 'ERR_PROTOCOL_OPTION' });
    }
    expect(await collect(rankStream(protocol, [], generate))).toEqual([]);
  });
});
