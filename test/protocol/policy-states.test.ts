import { describe, expect, it } from 'vitest';
import { exclusionProtocol, reachPrompts, setwiseProtocol } from '../../lib/protocol/index.js';
import { answerBy, bestFirst, generateBy, graded, says } from './support.js';

const instance = graded([0, 0, 0, 1, 0, 0, 0, 0]);
const protocol = exclusionProtocol();
const value = (id: string): number => Number(id.slice(1));

describe('the questions that a policy comes to', () => {
  it('are those of its own answers', async () => {
    const generate = generateBy(answerBy(protocol, instance, (id) => -value(id)));
    const requests = [8, 7, 5].map((size) => ({ instance, key: size, size }));
    const prompts = await reachPrompts(protocol, requests, generate);
    // This policy excludes the highest numbers first.
    expect(prompts.map(({ labels }) => [...labels.values()].map(value).sort((a, b) => a - b))).toEqual([
      [0, 1, 2, 3, 4, 5, 6, 7],
      [0, 1, 2, 3, 4, 5, 6],
      [0, 1, 2, 3, 4],
    ]);
  });

  it('end before the relevant candidate is lost, where nothing is left to get wrong', async () => {
    const losing = generateBy(answerBy(protocol, instance, (id) => (id === 'c3' ? -1 : value(id))));
    const [prompt] = await reachPrompts(protocol, [{ instance, key: 1, size: 2 }], losing);
    expect(prompt?.labels.size).toBe(8);
  });

  it('count malformed answers in, as ranking does', async () => {
    const asked: number[] = [];
    const [prompt] = await reachPrompts(protocol, [{ instance, key: 1, size: 6 }], async (prompts, { promptKeys }) => {
      asked.push(...promptKeys);
      return prompts.map(() => says('nonsense'));
    });
    expect(prompt?.labels.size).toBeLessThan(8);
    expect(new Set(asked).size).toBe(asked.length);
  });

  it('are there for sorts too', async () => {
    const setwise = setwiseProtocol({ window: 3 });
    const generate = generateBy((prompt) =>
      says(setwise.demonstrationText(instance, prompt, 'x', bestFirst(prompt, value))),
    );
    const prompts = await reachPrompts(
      setwise,
      [8, 6, 4, 2].map((size) => ({ instance, key: size, size })),
      generate,
    );
    for (const { labels } of prompts) {
      expect([2, 3]).toContain(labels.size);
      expect([...labels.values()]).toContain('c3');
    }
  });
});
