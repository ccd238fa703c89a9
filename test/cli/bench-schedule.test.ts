import { expect, test } from 'vitest';
import {
  type Attempt,
  interleave,
  isDisturbed,
  keepTrials,
  runLimits,
  type TrialRun,
} from '../../lib/cli/bench/schedule.js';

const quiet = { flopsPerSecond: 100, bytesPerSecond: 10 };
const busy = { flopsPerSecond: 80, bytesPerSecond: 10 };
const done: Attempt = { kind: 'done', seconds: [1], reply: {} };

function scheduleOf(limits: readonly (typeof quiet)[], answers: Record<string, readonly Attempt[]>) {
  const log: string[] = [];
  let measured = 0;
  const sides = Object.entries(answers).map(([name, attempts]) => {
    let turn = 0;
    return {
      name,
      run: async () => {
        log.push(name);
        return attempts[Math.min(turn++, attempts.length - 1)] as Attempt;
      },
    };
  });
  const measureLimits = async () => {
    log.push('limits');
    return limits[Math.min(measured++, limits.length - 1)] as typeof quiet;
  };
  return { log, sides, measureLimits, isOver: () => false, best: () => quiet };
}

test('sides take turns, with the limits between any two trials', async () => {
  const schedule = scheduleOf([quiet], { a: [done], b: [done] });
  await interleave({ ...schedule, trials: 2, repeats: 5 });
  expect(schedule.log.join(' ')).toBe('limits a limits b limits a limits b limits');
});

test('a side that fails or does not do it takes no further part', async () => {
  const failed: Attempt = { kind: 'failed', reason: 'broke' };
  const schedule = scheduleOf([quiet], { a: [done], b: [done, failed], c: [{ kind: 'not done', reason: 'cannot' }] });
  const runs = await interleave({ ...schedule, trials: 3, repeats: 0 });
  expect(runs.map(({ side, round }) => `${side}${round}`)).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
});

test('a disturbed trial is a round more for all, and no more than the repeats', async () => {
  // The second measurement is after a's first trial and before b's.
  const once = scheduleOf([quiet, busy, quiet], { a: [done], b: [done] });
  const runs = await interleave({ ...once, trials: 2, repeats: 3 });
  expect(runs.map(({ side, round }) => `${side}${round}`)).toEqual(['a1', 'b1', 'a2', 'b2', 'a3', 'b3']);
  expect(runs.filter((run) => isDisturbed(run, quiet)).map(({ side, round }) => `${side}${round}`)).toEqual([
    'a1',
    'b1',
  ]);
  const always = scheduleOf([busy], { a: [done] });
  expect(await interleave({ ...always, trials: 2, repeats: 3 })).toHaveLength(5);
});

test('once the time is over no further round begins, and the first one is whole', async () => {
  const schedule = scheduleOf([quiet], { a: [done], b: [done] });
  const sidesOf = async (rounds: number): Promise<string> => {
    let asked = 0;
    const runs = await interleave({ ...schedule, trials: 7, repeats: 3, isOver: () => ++asked >= rounds });
    return runs.map(({ side, round }) => `${side}${round}`).join(' ');
  };
  expect(await sidesOf(1)).toBe('a1 b1');
  expect(await sidesOf(3)).toBe('a1 b1 a2 b2 a3 b3');
});

test('a little below the limits of the run is still quiet, and either limit counts', () => {
  const at = (flopsPerSecond: number, bytesPerSecond: number) => ({ flopsPerSecond, bytesPerSecond });
  expect(isDisturbed({ before: at(90, 7.5), after: quiet }, quiet)).toBe(false);
  expect(isDisturbed({ before: at(89, 10), after: quiet }, quiet)).toBe(true);
  expect(isDisturbed({ before: quiet, after: at(100, 7.4) }, quiet)).toBe(true);
});

test('the limits of a run are those that most measurements come near, not a single high one', () => {
  const at = (bytesPerSecond: number) => ({ flopsPerSecond: 1, bytesPerSecond });
  expect(runLimits([33, 27, 44, 33, 32].map(at)).bytesPerSecond).toBe(33);
  expect(runLimits([27, 33].map(at)).bytesPerSecond).toBe(33);
  expect(runLimits([at(27)])).toEqual(at(27));
});

test('figures rest on the undisturbed trials where there are three of them, else on all', () => {
  const runs = (states: string): TrialRun[] =>
    [...states].map((state, index) => ({
      ...{ side: 'a', round: index + 1, attempt: done, after: quiet },
      before: state === 'q' ? quiet : busy,
    }));
  expect(keepTrials(runs('qbqqb'), quiet).kept.map(({ round }) => round)).toEqual([1, 3, 4]);
  expect(keepTrials(runs('qbqqb'), quiet).disturbed).toBe(2);
  expect(keepTrials(runs('qbqb'), quiet).kept).toHaveLength(4);
  expect(keepTrials(runs('q'), quiet).kept).toHaveLength(1);
  expect(keepTrials([], quiet)).toEqual({ kept: [], disturbed: 0 });
});
