import { expect, it } from 'vitest';
import { ConsoleReporter } from '../../lib/report/console.js';
import type { TrainEvent } from '../../lib/train/events.js';

const step = (stageStep: number, seconds = 2): TrainEvent => ({
  ...{ type: 'step', steps: 10, stageSteps: 10 },
  record: {
    ...{ type: 'step', step: stageStep, stage: 'GRPO', kind: 'grpo', stage_step: stageStep },
    metrics: { reward: 0.5, malformed_rate: 0.25 },
  },
  timing: { step: stageStep, seconds: { total: seconds } },
  samples: [],
});

function reporter(options: { isTTY?: boolean; json?: boolean; columns?: number }) {
  const written: string[] = [];
  const clock = { now: 0 };
  const stream = {
    write: (text: string) => written.push(text),
    isTTY: options.isTTY ?? false,
    columns: options.columns ?? 120,
  };
  const console = new ConsoleReporter({ stream, json: options.json ?? false, now: () => clock.now });
  return { written, clock, console };
}

it('writes plain lines where there is no terminal, not one for every step, and always the last', () => {
  const { written, clock, console } = reporter({});
  for (let i = 1; i <= 10; i++) {
    clock.now += 1000;
    console.on(step(i));
  }
  console.end();
  expect(written.map((line) => line.split('  ')[1])).toEqual(['1/10', '6/10', '10/10']);
  expect(written[0]).toBe('GRPO  1/10  reward 0.5  malformed % 25.0  18 s left\n');
  expect(written.join('')).not.toContain('\x1b');
});

it('redraws one line with a bar on a terminal, never wider than it, and clears it before other lines', () => {
  const { written, clock, console } = reporter({ isTTY: true, columns: 40 });
  clock.now += 1000;
  console.on(step(5));
  expect(written[0]?.startsWith('\r\x1b[KGRPO  [============            ]')).toBe(true);
  expect(written[0]?.replace('\r\x1b[K', '').length).toBeLessThan(40);
  console.on({ type: 'done', status: 'completed', step: 10, output: 'x' });
  expect(written.slice(1)).toEqual(['\r\x1b[K', 'completed at step 10\n']);
});

it('writes every event as one JSON line on request, without the long samples', () => {
  const { written, console } = reporter({ json: true, isTTY: true });
  console.on(step(1));
  console.on({ type: 'checkpoint', step: 1, path: 'p' });
  expect(written.map((line) => JSON.parse(line).type)).toEqual(['step', 'checkpoint']);
  expect(written[0]).not.toContain('samples');
});
