import { describe, expect, it } from 'vitest';
import { evaluate } from '../../lib/eval/index.js';
import { type Generate, rankAll } from '../../lib/protocol/index.js';
import type { Protocol, RankingInstance } from '../../lib/types.js';
import { events, fake, makeConfig } from '../train/fake-run.js';

interface Turns {
  readonly instance: RankingInstance;
  readonly left: readonly string[];
  readonly gone: readonly string[];
}

/** A user's own: written on the types alone, two prompts a turn until two candidates are left; says who is to go. */
const halving: Protocol<Turns> = {
  name: 'halving',
  start: (instance) => ({ instance, left: instance.candidates.map(({ id }) => id), gone: [] }),
  prompts: ({ left }) => (left.length < 2 ? [] : [ask(left.slice(0, Math.ceil(left.length / 2))), ask(left.slice(-1))]),
  parse: ({ labels }, { text }) => {
    const id = labels.get(/\[([A-H])\]/.exec(text)?.[1] ?? '');
    return id === undefined
      ? { ok: false, reason: 'no_answer', detail: text, format: { think: true, answer: false } }
      : { ok: true, ids: [id], thought: '' };
  },
  advance: ({ instance, left, gone }, [first]) => {
    const out = first?.ok ? (first.ids[0] as string) : (left[0] as string);
    return { instance, left: left.filter((id) => id !== out), gone: [out, ...gone] };
  },
  done: ({ left }) => left.length < 2,
  ranking: ({ left, gone }) => [...left, ...gone],
  reward: ({ candidates, relevance }, _, answer) => {
    const right = answer.ok && relevance[candidates.findIndex(({ id }) => id === answer.ids[0])] === 0;
    return { value: right ? 1 : 0, parts: { right: right ? 1 : 0 } };
  },
};

function ask(ids: readonly string[]) {
  const labels = new Map(ids.map((id, index) => ['ABCDEFGH'[index] as string, id]));
  return { messages: [], prefix: [...labels.keys()].map((label) => `[${label}]`).join(' '), labels };
}

const instances = ['x', 'y'].map(
  (id): RankingInstance => ({
    ...{ id, task: 'own', context: '', relevance: [1, 0, 0] },
    candidates: ['p', 'q', 'r'].map((name) => ({ id: name, text: name })),
  }),
);
/** Always names the last label shown. */
const generate: Generate = async (prompts) =>
  prompts.map(({ labels }) => ({
    ...{ text: `[${[...labels.keys()].at(-1)}]`, stop: 'stop_token' as const },
    ...{ tokens: new Int32Array(1), logprobs: new Float32Array(1) },
  }));

describe('a protocol of the user’s own', () => {
  it('ranks and is measured', async () => {
    const [first] = await rankAll(halving, instances, generate);
    expect(first).toMatchObject({ instanceId: 'x', ranking: ['r', 'p', 'q'], calls: 4 });
    const { measures, malformedRate } = await evaluate(halving, instances, generate, { measures: ['MRR'] });
    expect(measures[0]).toMatchObject({ mean: 0.5 });
    expect(malformedRate).toBe(0);
  });

  it('is trained', async () => {
    const stages = [{ kind: 'grpo', steps: 2, prompts: 2, group: 4, maxTokens: 20, learningRate: 1 }] as const;
    const config = makeConfig({ evaluation: { maxTokens: 20, instances: 4, resamples: 10 }, stages: [...stages] });
    const all = await events(config, { ...fake(), protocol: halving as never });
    const last = all.findLast((event) => event.type === 'step')?.record.metrics;
    expect(last).toHaveProperty('rewards/right/mean');
    expect(all.filter((event) => event.type === 'evaluation').map(({ record }) => record.label)).toContain(
      'after grpo',
    );
  });

  it('names protocol, method and instance when one of its methods throws', async () => {
    const boom = () => {
      throw new RangeError('boom');
    };
    for (const method of ['start', 'prompts', 'parse', 'advance', 'done', 'ranking'] as const) {
      const broken = { ...halving, [method]: boom };
      await expect(rankAll(broken, instances, generate), method).rejects.toMatchObject({
        ...{ code: 'ERR_PROTOCOL_STEP', message: `${method} of protocol halving failed on instance x` },
        ...{ received: 'RangeError: boom', cause: expect.any(RangeError) },
      });
    }
  });
});
