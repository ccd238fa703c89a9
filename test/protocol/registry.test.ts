import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { protocolNamed, protocolNames } from '../../lib/protocol/index.js';
import { resolveConfig } from '../../lib/train/config.js';
import { readConfig } from '../../lib/train/config-file.js';

describe('protocols by name', () => {
  it('makes each with its defaults', () => {
    expect(protocolNames).toEqual(['exclusion', 'direct', 'setwise', 'listwise', 'pointwise']);
    expect(protocolNames.map((name) => protocolNamed(name).name)).toEqual([
      'exclusion/labels',
      'direct/labels',
      'setwise/labels/heap',
      'listwise/rankzephyr',
      'pointwise/log-odds/labels',
    ]);
  });

  it('refuses unknown names, options and values', () => {
    for (const [name, options] of [
      ['pairwise', {}],
      ['direct', { perStep: 2 }],
      ['setwise', { window: 1 }],
      ['exclusion', { wording: 'long' }],
      ['pointwise', { maximum: 'ten' }],
    ] as const) {
      expect(() => protocolNamed(name, options)).toThrow(expect.objectContaining({ code: 'ERR_PROTOCOL_OPTION' }));
    }
  });

  it('reads the example of Rank-R1', async () => {
    const config = await readConfig(fileURLToPath(new URL('../../examples/rank-r1.yaml', import.meta.url)));
    expect(config.protocol).toEqual({ name: 'setwise', wording: 'rank-r1', window: 20, topK: 10 });
    expect(config.stages[0]).toMatchObject({ keepThoughts: { minimumReward: 0, perCase: 1 }, states: 'random' });
  });

  it('chooses them in the settings of a run, and names a mistyped option', () => {
    const config = (protocol: object) => ({
      output: 'out',
      model: { scratch: { width: 32, layers: 1, heads: 4 } },
      data: { task: { name: 'synthetic' } },
      protocol,
      stages: [{ kind: 'grpo', steps: 1, prompts: 1, group: 2, maxTokens: 8, learningRate: 1 }],
    });
    const setwise = resolveConfig(config({ name: 'setwise', sort: 'insertion', topK: 5 }));
    expect(setwise.protocol).toEqual({ name: 'setwise', sort: 'insertion', topK: 5 });
    expect(resolveConfig(config({ name: 'exclusion', perStep: 2, direction: 'best' })).protocol.name).toBe('exclusion');
    expect(() => resolveConfig(config({ name: 'setwise', topk: 5 }))).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_KEY', hint: expect.stringContaining('topK') }),
    );
  });
});
