import { describe, expect, it } from 'vitest';
import { readableRanking, renderEvaluation, spread } from '../../lib/report/index.js';
import { anEvaluation } from './an-evaluation.js';

describe('renderEvaluation', () => {
  it('shows measures with intervals beside chance and baselines, failures by reason, calls and tokens', () => {
    const page = renderEvaluation(anEvaluation());
    for (const text of [
      ...[
        'Evaluation of runs/best',
        '75.0<small>65.0 – 85.0',
        '61.1<small>exact',
        '50.0<small>40.0 – 60.0',
        'no think',
      ],
      ...[
        '<td>1</td><td>25.0</td>',
        '<td>400</td><td>200</td><td>200</td>',
        '2.4 times as many tokens',
        'tokens computed',
      ],
    ]) {
      expect(page, text).toContain(text);
    }
  });

  it('needs nothing from elsewhere', () => {
    const page = renderEvaluation(anEvaluation());
    expect(page).not.toMatch(/(src|href)\s*=|@import|url\(|https?:/i);
    expect(page).toContain("default-src 'none'");
  });

  it('lets no text of a model or a data set become markup', () => {
    const hostile = `</script><script>alert(1)</script><img src=x onerror="alert('2')">&amp;\u2028\u0000`;
    const page = renderEvaluation(anEvaluation(hostile));
    expect(page).not.toMatch(/<img|alert\(1\)<\/script><img|onerror="/);
    expect(page.match(/<script/g)).toHaveLength(2);
    const json = page.match(/<script type="application\/json" id="rankings-data">([\s\S]*?)<\/script>/)?.[1] as string;
    expect(JSON.parse(json)[0].calls[0].text).toBe(hostile);
  });

  it('leaves out what there is nothing of', () => {
    const { evaluation, ...rest } = anEvaluation();
    const bare = { ...evaluation, exclusion: undefined, exclusionBySize: [], malformedByReason: {}, malformedRate: 0 };
    const page = renderEvaluation({
      ...rest,
      evaluation: { ...bare, failedInstances: 3 },
      baselines: {},
      rankings: [],
    });
    expect(page).not.toContain('Exclusions by');
    expect(page).not.toContain('Rankings to read');
    expect(page).toContain('3 instances ended there');
  });
});

describe('readableRanking', () => {
  it('names candidates by their texts, and keeps the first prompt in full', () => {
    const [ranking] = anEvaluation('x').rankings;
    expect(ranking).toMatchObject({
      ...{
        measures: [
          ['MRR', 1],
          ['nDCG@10', 1],
        ],
        ranking: [{ text: 'b x', grade: 2 }, { grade: 0 }, { grade: 0 }],
      },
      calls: [
        {
          step: 0,
          outcome: 'ok',
          says: 'c x',
          prompt: 'user:\nWhich one? x\n\n<think>',
          shown: '[A] a x  [B] b x  [C] c x',
        },
        { step: 1, outcome: 'no_think', says: 'x', prompt: '', shown: '[B] b x  [C] c x' },
      ],
    });
    const instance = { id: 'i', task: 't', context: '', candidates: [], relevance: [] };
    expect(readableRanking(instance, { ranking: undefined }, [], { measures: [], index: 0 }).ranking).toEqual([]);
  });
});

describe('spread', () => {
  it('takes places all over the data', () => {
    expect(spread(100, 4)).toEqual([0, 25, 50, 75]);
    expect(spread(3, 20)).toEqual([0, 1, 2]);
    expect(spread(3, 0)).toEqual([]);
  });
});
