import { describe, expect, it } from 'vitest';
import { stepRates } from '../../lib/train/rates.js';

describe('stepRates', () => {
  const seconds = {
    generate: 2,
    score: 0.5,
    reference: 0.25,
    forward: 1,
    head: 0.5,
    backward: 2,
    update: 0.5,
    reward: 1,
    total: 8,
  };
  const phaseTokens = { generate: 300, score: 200, reference: 100, update: 1000 };

  it('divides tokens by the seconds of their phase, and model FLOPs by those of the step', () => {
    const rates = stepRates(
      { seconds, tokens: 1600, phaseTokens },
      { parameters: 4e9, trainedParameters: 4e9, peakTeraflops: 100 },
    );
    expect(rates).toEqual({
      'perf/throughput': 200,
      'tokens_per_second/generate': 150,
      'tokens_per_second/score': 400,
      'tokens_per_second/reference': 400,
      'tokens_per_second/update': 250,
      // 4e9 x (2 x (300 + 200 + 100) + 6 x 1000) / 8 s
      'perf/model_tflops': 3.6,
      'perf/mfu/actor': 3.6 / 100,
    });
  });

  it('counts no gradient of frozen weights', () => {
    const rates = stepRates({ seconds, tokens: 1600, phaseTokens }, { parameters: 4e9, trainedParameters: 1e8 });
    // (4e9 x (2 x (300 + 200 + 100) + 4 x 1000) + 1e8 x 2 x 1000) / 8 s
    expect(rates['perf/model_tflops']).toBeCloseTo(2.625, 10);
  });

  it('tells the speeds of a critic', () => {
    const critic = { values: 2, update_critic: 4 };
    const rates = stepRates(
      { seconds: { ...critic, total: 8 }, tokens: 1, phaseTokens: { values: 500, update_critic: 600 } },
      { parameters: 1, trainedParameters: 1 },
    );
    expect(rates).toMatchObject({ 'tokens_per_second/values': 250, 'tokens_per_second/update_critic': 150 });
  });

  it('leaves out what was not done, and what cannot be known', () => {
    const rates = stepRates(
      { seconds: { generate: 1, total: 1 }, tokens: 9, phaseTokens: { generate: 5 } },
      { parameters: 1, trainedParameters: 1 },
    );
    expect(Object.keys(rates).sort()).toEqual(['perf/model_tflops', 'perf/throughput', 'tokens_per_second/generate']);
    expect(stepRates({ seconds: {}, tokens: 1 }, { parameters: 1, trainedParameters: 1 })).toEqual({});
  });
});
