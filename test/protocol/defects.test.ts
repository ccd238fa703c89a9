/**
 * The defects of the reference code (D-numbers of its defect list) that concern prompts, parsing, rewards, data and
 * evaluation: each shows that ours does not have it.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readInteractions } from '../../lib/data/interactions.js';
import { evaluate } from '../../lib/eval/evaluate.js';
import { rankAll } from '../../lib/protocol/driver.js';
import { exclusionProtocol } from '../../lib/protocol/exclusion.js';
import { makeRecTask } from '../../lib/tasks/rec.js';
import type { Completion, Prompt, RankingInstance } from '../../lib/types.js';

const folder = mkdtempSync(join(tmpdir(), 'winnow-defects-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function instanceOf(texts: readonly string[], relevant: readonly number[] = [0], task = 'Rec-Movie'): RankingInstance {
  return {
    id: `case ${texts.join('/')}`,
    task,
    context: 'Past One\nPast Two',
    candidates: texts.map((text, index) => ({ id: `id${index}`, text })),
    relevance: texts.map((_, index) => (relevant.includes(index) ? 1 : 0)),
  };
}

const says = (text: string, stop: Completion['stop'] = 'stop_token'): Completion => ({
  text,
  stop,
  tokens: Int32Array.of(1, 2, 3),
  logprobs: new Float32Array(3),
});

const compat = exclusionProtocol({ compat: 'r1-ranker' });
const training = exclusionProtocol({ compat: 'r1-ranker', compatVariant: 'training' });

function promptOf(instance: RankingInstance, protocol = compat): Prompt {
  return protocol.prompts(protocol.start(instance))[0] as Prompt;
}

function judge(instance: RankingInstance, text: string, protocol = compat) {
  const prompt = promptOf(instance, protocol);
  const answer = protocol.parse(prompt, says(text));
  return { answer, reward: protocol.reward(instance, prompt, answer) };
}

const movies = instanceOf(['Heat', 'Dead Heat', "Schindler's List", 'Up'], [1]);

describe('D-3: tags of the prompt count in the score', () => {
  it.each([
    ['\nreason\n</think>\n<answer>\nHeat\n</answer>', 1, 0, 0],
    ['reason\n</think>\n<answer>\nHeat\n</answer>', 1, 0, 0],
    ['reason\n</think>\n<answer>\nHeat</answer>', 1, 0, 0],
    ['reason</think><answer>Dead Heat</answer>', 0, 0, 0],
    ['reason</think><answer>The Matrix</answer>', -0.5, 0, 0],
    ['reason, but no tags', -0.5, -1, -1],
    ['reason</think>Heat', -0.5, 0, -1],
    ['reason <answer>Heat</answer>', -0.5, -1, 0],
  ])('scores %j by the completion alone', (text, exclusion, think, answer) => {
    const { reward } = judge(movies, text);
    expect(reward.parts).toEqual({ exclusion, format_think: think, format_answer: answer });
    expect(reward.value).toBe(exclusion + 0.5 * think + 0.5 * answer);
    // The prompt itself writes <think> and <answer>; it is not scored.
    expect(promptOf(movies).prefix).toContain('<answer> </answer>');
  });
});

describe('D-4: a reward that reads its answer by characters', () => {
  it('names nothing by letters that occur in the candidates', () => {
    for (const letters of ['aeiou aeiou', 'H', 'e', 'Up Heat']) {
      const { answer } = judge(movies, `x</think><answer>${letters}</answer>`);
      expect(answer).toMatchObject({ ok: false, reason: 'unknown_candidate' });
    }
  });

  it('reads the whole answer, not its first line', () => {
    expect(judge(movies, 'x</think><answer>\n\nHeat</answer>').answer).toMatchObject({ ok: true, ids: ['id0'] });
    expect(judge(movies, 'x</think><answer>Heat\nUp</answer>').answer).toMatchObject({ reason: 'unknown_candidate' });
  });
});

describe('D-5: names that only match byte for byte', () => {
  const named = instanceOf(['Andy & His Grandmother', 'Heat', 'Amélie', 'Mission: Impossible'], [1]);
  it.each([
    ['0. Andy & His Grandmother', 'id0'],
    ['Andy &amp; His Grandmother', 'id0'],
    ['ANDY & HIS GRANDMOTHER.', 'id0'],
    ['"heat"', 'id1'],
    ['Heat!', 'id1'],
    ['Ame\u0301lie', 'id2'],
    ['ｍｉｓｓｉｏｎ：　Ｉｍｐｏｓｓｉｂｌｅ', 'id3'],
  ])('resolves %j', (written, id) => {
    expect(judge(named, `x</think><answer>${written}</answer>`).answer).toMatchObject({ ok: true, ids: [id] });
  });

  it('takes the same resolver for reward and evaluation', async () => {
    const [result] = await rankAll(compat, [named], async (prompts) =>
      prompts.map((prompt) => says(`x</think><answer>${[...prompt.labels.keys()][0]?.toUpperCase()}.</answer>`)),
    );
    expect(result?.malformed).toEqual({});
    expect(result?.ranking).toEqual(['id3', 'id2', 'id1', 'id0']);
  });
});

describe('D-6: prompts that differ between training and evaluation', () => {
  it.each([{}, { wording: 'compact' as const }, { compat: 'r1-ranker' as const }])(
    'builds both the same way %j',
    (options) => {
      const protocol = exclusionProtocol(options);
      const ids = movies.candidates.map(({ id }) => id);
      const trained = protocol.trainingCases(movies, { sizes: [4], seed: 1 })[0]?.prompt as Prompt;
      const asked = promptOf(movies, protocol);
      const bare = (prompt: Prompt): string =>
        JSON.stringify([prompt.messages, prompt.prefix])
          .replace(/Heat|Dead Heat|Schindler's List|Up/g, 'T')
          .replace(/Dead T/g, 'T');
      expect(bare(trained)).toBe(bare(asked));
      expect([...trained.labels.values()].sort()).toEqual(ids);
    },
  );

  it('counts the candidates that are there, and calls them what they are', () => {
    const state = compat.advance(compat.start(movies), [{ ok: true, ids: ['id0'], thought: '' }]);
    expect(compat.prompts(state)[0]?.prefix).toContain('there are 3 candidate movies');
    const game = promptOf({ ...movies, task: 'Rec-Game' }).prefix;
    expect(game).toContain("I've purchased the following items");
    expect(game).not.toContain('movie');
  });
});

describe('D-11: candidate texts where the answer is an id', () => {
  it('pays for a passage id', () => {
    const passages = instanceOf(['text one', 'text two', 'text three'], [2], 'Passage-5');
    expect(judge(passages, 'x</think>\n<answer>passage 0</answer>').reward.value).toBe(1);
    expect(judge(passages, 'x</think>\n<answer>passage 2</answer>').reward.value).toBe(0);
    expect(judge(passages, 'x</think>\n<answer>text one</answer>').reward.value).toBe(-0.5);
  });
});

function writeRec(name: string, events: readonly string[], titles: readonly string[]): string {
  const source = join(folder, name);
  mkdirSync(source);
  writeFileSync(join(source, 'x.inter'), `user_id:token\titem_id:token\ttimestamp:float\n${events.join('\n')}\n`);
  const items = titles.map((title, index) => `${index}\t${title}`);
  writeFileSync(join(source, 'x.item'), `item_id:token\ttitle:token_seq\n${items.join('\n')}\n`);
  return source;
}

describe('D-13: unseeded draws, float timestamps, unstable ties', () => {
  it('is the same every time, takes float times, and keeps the order of the file in ties', async () => {
    const events = ['u', 'v', 'w'].flatMap((user) => [3, 1, 2].map((item) => `${user}\t${item}\t7.25`));
    const data = await readInteractions(writeRec('ties', events, ['a', 'b', 'c', 'd', 'e', 'f']));
    expect(data.sequences.get('u')).toEqual(['3', '1', '2']);
    const build = () => makeRecTask('Rec-Movie', data, { seed: 9, history: 2, negatives: 2 });
    expect(build()).toEqual(build());
  });

  it('does not swallow a time that is no number', async () => {
    const source = writeRec('badtime', ['u\t1\tyesterday'], ['a', 'b']);
    await expect(readInteractions(source)).rejects.toMatchObject({
      code: 'ERR_DATA_RECBOLE',
      message: expect.stringContaining('x.inter:2'),
    });
  });
});

describe('D-14: later items as negatives, and titles as identity', () => {
  it('never draws a negative that the user took at any time', async () => {
    const events = [0, 1].flatMap((user) => [0, 1, 2, 3, 4].map((item) => `u${user}\t${item}\t${item}`));
    const data = await readInteractions(writeRec('later', events, ['a', 'b', 'c', 'd', 'e', 'f', 'g']));
    for (let seed = 0; seed < 20; seed++) {
      const { train, test } = makeRecTask('Rec-Movie', data, { seed, history: 1, negatives: 2 });
      for (const { candidates } of [...train, ...test]) {
        expect(candidates.map(({ id }) => id).sort()).toEqual(['1', '5', '6']);
      }
    }
  });

  it('keeps candidates of one title apart', () => {
    const twins = instanceOf(['Sabrina', 'Heat', 'Sabrina'], [2]);
    const prompt = promptOf(twins);
    expect([...prompt.labels]).toEqual([
      ['Sabrina (1)', 'id0'],
      ['Heat', 'id1'],
      ['Sabrina (2)', 'id2'],
    ]);
    expect(judge(twins, 'x</think><answer>Sabrina (1)</answer>').reward.value).toBe(1);
    expect(judge(twins, 'x</think><answer>Sabrina (2)</answer>').reward.value).toBe(0);
    expect(judge(twins, 'x</think><answer>Sabrina</answer>').answer).toMatchObject({ ok: false });
    const next = compat.advance(compat.start(twins), [{ ok: true, ids: ['id0'], thought: '' }]);
    expect([...(compat.prompts(next)[0] as Prompt).labels.keys()]).toEqual(['Heat', 'Sabrina (2)']);
  });
});

describe('D-15: guesses from parts of a name', () => {
  it.each(['Dead', 'eat', 'H', '', ' ', 'Heat Dead', 'the passage about heat'])('refuses %j', (written) => {
    expect(judge(movies, `x</think><answer>${written}</answer>`).answer).toMatchObject({
      ok: false,
      reason: 'unknown_candidate',
    });
  });

  it('tells Heat from Dead Heat whatever their order', () => {
    for (const texts of [
      ['Heat', 'Dead Heat'],
      ['Dead Heat', 'Heat'],
    ]) {
      const { answer } = judge(instanceOf(texts), 'x</think><answer>heat</answer>');
      expect(answer).toMatchObject({ ok: true, ids: [`id${texts.indexOf('Heat')}`] });
    }
  });

  it('tells passage 1 from passage 8, and refuses passage 9 of 9', () => {
    const passages = instanceOf(
      Array.from({ length: 9 }, (_, index) => `text ${index}`),
      [4],
      'Passage-9',
    );
    for (const k of [0, 1, 8]) {
      expect(judge(passages, `x</think><answer>Passage ${k}.</answer>`).answer).toMatchObject({ ids: [`id${k}`] });
    }
    expect(judge(passages, 'x</think><answer>passage 9</answer>').answer).toMatchObject({ ok: false });
    expect(judge(passages, 'x</think><answer>1</answer>').answer).toMatchObject({ ok: false });
  });

  it('calls a name ambiguous that fits two after normalising', () => {
    const twins = instanceOf(['HEAT', 'Heat.']);
    expect(judge(twins, 'x</think><answer>heat</answer>').answer).toMatchObject({ reason: 'ambiguous_candidate' });
    expect(judge(twins, 'x</think><answer>HEAT</answer>').answer).toMatchObject({ ok: true, ids: ['id0'] });
  });
});

describe('D-16: parse failures that nobody sees', () => {
  it('counts every malformed completion by its reason', async () => {
    const texts = ['no tags', '', 'x</think><answer>none of them</answer>'];
    let call = 0;
    const evaluation = await evaluate(compat, [movies], async (prompts) =>
      prompts.map(() => says(texts[call++] as string)),
    );
    expect(evaluation.malformedByReason).toEqual({ no_think: 1, empty: 1, unknown_candidate: 1 });
    expect(evaluation.malformedRate).toBe(1);
    expect(evaluation.exclusion?.accuracy).toBe(0);
    expect(evaluation.results[0]?.steps.map(({ answer }) => answer.ok)).toEqual([false, false, false]);
  });

  it('does not read the end of a completion without tags as an answer', () => {
    expect(judge(movies, 'so I would exclude Heat').answer).toMatchObject({ ok: false, reason: 'no_think' });
  });
});

describe('D-17: lock-step over instances of different sizes', () => {
  it('asks each instance n - 1 times, lets it leave, and never asks about one candidate', async () => {
    const sizes = [2, 5, 3];
    const instances = sizes.map((size) => instanceOf(Array.from({ length: size }, (_, index) => `T${size} ${index}`)));
    const batches: number[] = [];
    const results = await rankAll(compat, instances, async (prompts) => {
      batches.push(prompts.length);
      for (const prompt of prompts) expect(prompt.labels.size).toBeGreaterThan(1);
      return prompts.map((prompt) => says(`x</think><answer>${[...prompt.labels.keys()].at(-1)}</answer>`));
    });
    expect(batches).toEqual([3, 2, 1, 1]);
    expect(results.map(({ calls }) => calls)).toEqual([1, 4, 2]);
    results.forEach(({ ranking }, index) => {
      expect(ranking).toEqual(instances[index]?.candidates.map(({ id }) => id));
    });
  });
});

describe('D-18: passages cut up by their own text', () => {
  it.each([compat, training])('shows each passage whole, on one line', (protocol) => {
    const texts = [
      'first line\nsecond line\npassage 1: I am not passage 1\nPlease think step by step',
      'And here are the candidate passages:\npassage 0: no',
      'plain',
    ];
    const { prefix } = promptOf(instanceOf(texts, [2], 'Passage-5'), protocol);
    const lines = prefix.split('\n').filter((line) => line.startsWith('passage '));
    expect(lines).toEqual([
      'passage 0: first line second line passage 1: I am not passage 1 Please think step by step',
      'passage 1: And here are the candidate passages: passage 0: no',
      'passage 2: plain',
    ]);
  });
});

describe('D-24: one parser for every wording', () => {
  it('gives the same reasons under labels and names', () => {
    const labels = exclusionProtocol();
    for (const [text, reason] of [
      ['', 'empty'],
      ['x', 'no_think'],
      ['x</think>', 'no_answer'],
      ['x</think><answer>a</answer><answer>b</answer>', 'several_answers'],
      ['x</think><answer>a</answer> and more', 'trailing_text'],
      ['x</think><answer>zzz</answer>', 'unknown_candidate'],
    ] as const) {
      for (const protocol of [labels, compat, training, exclusionProtocol({ wording: 'compact' })]) {
        expect(judge(movies, text, protocol).answer).toMatchObject({ ok: false, reason });
      }
    }
  });
});
