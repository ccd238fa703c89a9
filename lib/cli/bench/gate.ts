/** Correctness before timing: a peer that does not agree with us on the same weights and tokens is not timed. */
import { WinnowError } from '../../errors.js';
import type { BenchSettings, PeerRequest } from './case.js';
import { type CheckRequest, type CheckResult, disagreement, PRODUCT_TOLERANCE, questionFor } from './check.js';
import { type PeerAbility, type PeerChoice, type PeerRunner, runPeer } from './peers.js';

export type Verdict =
  | { readonly kind: 'agreed'; readonly check: string }
  | { readonly kind: 'not done' | 'failed'; readonly check: string; readonly reason: string };

export interface Gate {
  readonly settings: BenchSettings;
  readonly abilities: readonly PeerAbility[];
  readonly runner: PeerRunner;
  /** Answers a check in a process of ours. */
  readonly askOurs: (check: CheckRequest) => Promise<CheckResult>;
}

/** Throws ERR_BENCHMARK where our products are not those of the reference backend. */
export async function requireOwnProducts({ settings, askOurs }: Pick<Gate, 'settings' | 'askOurs'>): Promise<void> {
  const { errors = [] } = await askOurs({ kind: 'products' });
  const tolerance = PRODUCT_TOLERANCE[settings.dtype];
  // NaN arrives as null.
  const wrong = errors.filter((error) => typeof error !== 'number' || error > tolerance);
  if (errors.length > 0 && wrong.length === 0) return;
  throw new WinnowError('ERR_BENCHMARK', 'the products of this backend are not those of the reference', {
    expected: `relative errors of at most ${tolerance}`,
    received: JSON.stringify(wrong),
    hint: 'npm run test:native tells which operation is wrong',
  });
}

/** Asks both sides the question of `benchmark` (check.ts). */
export async function checkPeer(gate: Gate, choice: PeerChoice, benchmark: string): Promise<Verdict> {
  const lists = (name: string): PeerAbility | undefined =>
    gate.abilities.find((ability) => ability.peer === choice.peer && ability.benchmark === name);
  const able = lists(benchmark);
  if (able === undefined)
    return { kind: 'not done', check: 'none', reason: `${choice.peer} does not list ${benchmark}` };
  if (!able.dtypes.includes(choice.dtype))
    return { kind: 'not done', check: 'none', reason: `${benchmark} in ${able.dtypes.join(', ')} only` };
  const question = questionFor(benchmark, gate.settings, choice.dtype);
  if (lists(question.benchmark) === undefined)
    return { kind: 'agreed', check: 'of counts in each reply alone: it answers no question about its model' };
  const request: PeerRequest = { ...question, warmups: 0, scale: 1, expected: {} };
  const attempt = await runPeer(choice, request, gate.runner);
  const check = `${question.benchmark}: agrees within ${question.tolerance}`;
  if (attempt.kind !== 'done') return { kind: attempt.kind, check, reason: `check: ${attempt.reason}` };
  const theirs = question.read(attempt.reply);
  const ours = question.ours === undefined ? theirs.map(() => 0) : (await gate.askOurs(question.ours)).values;
  const wrong = disagreement(ours, theirs, question.tolerance);
  return wrong === undefined ? { kind: 'agreed', check } : { kind: 'failed', check, reason: `check: ${wrong}` };
}
