/** An evaluation that could have been: two instances of three candidates, ranked by exclusion. */
import type { MeasureResult } from '../../lib/eval/index.js';
import type { RankingCall } from '../../lib/protocol/index.js';
import { type EvaluationPage, readableRanking } from '../../lib/report/index.js';
import type { RankingInstance } from '../../lib/types.js';

const measure = (name: string, mean: number): MeasureResult => ({
  ...{ name, mean, low: mean - 0.1, high: mean + 0.1, chance: 0.611, perInstance: [1, mean] },
});

/** `text` stands wherever a text of others can stand. */
export function anEvaluation(text = 'likes films about space'): EvaluationPage {
  const instances = ['user/1', 'user/2'].map(
    (id): RankingInstance => ({
      ...{ id: id + (text.startsWith('<') ? text : ''), task: text, context: `Alien\n${text}` },
      candidates: ['a', 'b', 'c'].map((name) => ({ id: name, text: `${name} ${text}` })),
      relevance: [0, 2, 0],
    }),
  );
  const measures = [measure('MRR', 0.75), measure('nDCG@10', 0.8)];
  const rankings = instances.map((instance, index) => {
    const calls = [0, 1].map((step) => callOf(instance, step, text));
    return readableRanking(instance, { ranking: ['b', 'a', 'c'] }, calls, { measures, index });
  });
  return {
    model: `runs/best ${text}`,
    data: text,
    evaluation: {
      ...{
        protocol: text,
        instances: 2,
        measures,
        malformedRate: 0.25,
        malformedByReason: { no_think: 1, truncated: 0 },
      },
      exclusionBySize: [
        { size: 2, count: 2, accuracy: 1, chance: 0.5 },
        { size: 3, count: 2, accuracy: 0.5, chance: 0.667 },
      ],
      exclusion: { count: 4, accuracy: 0.75, chance: 0.58 },
      ...{ failedInstances: 0, calls: 4, completionTokens: 80, seconds: 2 },
      tokens: { prompt: 400, computedPrompt: 120, completion: 80 },
    },
    baselines: { [text]: [measure('MRR', 0.5), measure('nDCG@10', 0.6)] },
    rankings,
  };
}

function callOf({ id }: RankingInstance, step: number, text: string): RankingCall {
  const labels = new Map(
    ['A', 'B', 'C'].slice(step).map((label, index) => [label, ['a', 'b', 'c'][index + step] as string]),
  );
  const prompt = { messages: [{ role: 'user', content: `Which one? ${text}` } as const], prefix: '<think>', labels };
  const completion = { text, tokens: new Int32Array(20), logprobs: new Float32Array(20), stop: 'stop_token' as const };
  const answer =
    step === 0
      ? { ok: true as const, ids: ['c'], thought: text }
      : { ok: false as const, reason: 'no_think' as const, detail: text, format: { think: false, answer: true } };
  const place = { instanceId: id, step, place: 0, attempt: 0, used: true };
  return { ...place, prompt, completion, answer, shownIds: [...labels.values()], completionTokens: 20 };
}
