import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DTypeName, Model, NativeModelConfig, Session } from '../../lib/native/index.js';
import { openSession, planTraining } from '../../lib/native/index.js';
import { rejection, tinyConfig } from './support.js';

const source = { kind: 'random', seed: 5, standardDeviation: 0.3 } as const;
const rounded: NativeModelConfig = { ...tinyConfig, keyValueDtype: 'bf16' };
const prompt = Int32Array.from({ length: 21 }, (_, i) => (i * 31 + 7) % tinyConfig.vocabulary);

let session: Session;
let plain: Model;
let model: Model;
beforeAll(async () => {
  session = openSession({ device: 'cpu', threads: 2 });
  plain = await session.createModel({ config: tinyConfig, dtype: 'f32', source });
  model = await session.createModel({ config: rounded, dtype: 'f32', source });
});
afterAll(() => session.close());

describe('keys and values in bf16', () => {
  it('give a token the same log-probability in sampling and in scoring, and another one than keys in f32', async () => {
    const { completions } = await model.generate({
      ...{ prompts: [prompt], completionsPerPrompt: 3, maxTokens: 40, seed: 2 },
      ignoreStopTokens: true,
    });
    const sampled = completions[0] ?? [];
    const sequences = sampled.map(({ tokens }) => Int32Array.from([...prompt, ...tokens]));
    const scores = await model.score({ sequences });
    const exact = await plain.score({ sequences });
    expect(sampled).toHaveLength(3);
    sampled.forEach(({ logprobs }, row) => {
      expect(scores[row]?.slice(prompt.length)).toEqual(logprobs);
      const error = logprobs.map((value, i) => Math.abs(value - (exact[row]?.[prompt.length + i] as number)));
      expect(Math.max(...error)).toBeGreaterThan(0);
      expect(Math.max(...error)).toBeLessThan(0.3);
    });
  });

  it('take half the memory', () => {
    const [wide, narrow] = [tinyConfig, rounded].map((config) => planTraining({ config, dtype: 'f32', threads: 1 }));
    expect(narrow?.kvStoreBytes).toBe((wide?.kvStoreBytes as number) / 2);
    expect(narrow?.activationsBytes).toBe(wide?.activationsBytes);
  });

  it("have the model's format where none is given", () => {
    const kvStoreBytes = (dtype: DTypeName, keyValueDtype?: DTypeName): number =>
      planTraining({
        config: keyValueDtype === undefined ? tinyConfig : { ...tinyConfig, keyValueDtype },
        ...{ dtype, threads: 1 },
      }).kvStoreBytes;
    expect(kvStoreBytes('bf16')).toBe(kvStoreBytes('bf16', 'bf16'));
    expect(kvStoreBytes('f32')).toBe(kvStoreBytes('f32', 'f32'));
    expect(kvStoreBytes('bf16', 'f32')).toBe(kvStoreBytes('f32'));
  });

  it('are refused in a format that attention does not read', async () => {
    const config = { ...tinyConfig, keyValueDtype: 'f16' } as unknown as NativeModelConfig;
    const error = await rejection(session.createModel({ config, dtype: 'f32', source }));
    expect(error.message).toContain('keyValueDtype');
  });
});
