import { WinnowError } from '../errors.js';
import { stableKey } from '../random.js';
import type { Answer, Completion, MalformedReason, Prompt, Protocol, RankingInstance } from '../types.js';

/**
 * What happens on a malformed completion. Every one is counted by its reason under each policy.
 *
 * - `keep_order` (default): the protocol goes on without what the completion should have said; exclusion drops the candidate shown
 *   last. The order shown is shuffled, so this earns what chance earns: it neither rewards nor hides the failure.
 * - `retry`: asked again, with other random numbers, up to `retries` times; then as `keep_order`.
 * - `fail`: the instance ends there and counts as ranked in the worst way.
 */
export interface MalformedPolicy {
  readonly policy: 'retry' | 'keep_order' | 'fail';
  /** For `retry`; default 1. */
  readonly retries?: number;
}

/** Beside the prompts of one round: who asks, so that random numbers and reports do not depend on the batch. */
export interface GenerateRequest {
  /** Aligned with the prompts; integers below 2^53 from instance, step, prompt and attempt. */
  readonly promptKeys: readonly number[];
  /** From 0. */
  readonly round: number;
}

export type Generate = (prompts: readonly Prompt[], request: GenerateRequest) => Promise<readonly Completion[]>;

/** One prompt and what came of it. */
export interface RankingStep {
  readonly shownIds: readonly string[];
  readonly answer: Answer;
  /** From 0; above 0 a repetition after a malformed completion. */
  readonly attempt: number;
  /** Whether this answer was used to advance. */
  readonly used: boolean;
  readonly completionTokens: number;
}

export interface RankingResult {
  readonly instanceId: string;
  /** Candidate ids, best first; undefined when the policy `fail` ended it. */
  readonly ranking: readonly string[] | undefined;
  readonly steps: readonly RankingStep[];
  /** Completions asked for, repetitions included. */
  readonly calls: number;
  readonly malformed: Readonly<Partial<Record<MalformedReason, number>>>;
  /** Sampled tokens. */
  readonly completionTokens: number;
}

export interface RankAllOptions {
  readonly malformed?: MalformedPolicy;
  readonly signal?: AbortSignal;
  /** After every round: instances done and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

interface Run<State> {
  readonly instance: RankingInstance;
  state: State;
  step: number;
  failed: boolean;
  pending: Pending[];
  readonly steps: RankingStep[];
}

interface Pending {
  readonly prompt: Prompt;
  attempt: number;
  answer: Answer | undefined;
}

function openStep<State>(protocol: Protocol<State>, run: Run<State>): void {
  run.pending = protocol.done(run.state)
    ? []
    : protocol.prompts(run.state).map((prompt) => ({ prompt, attempt: 0, answer: undefined }));
  if (run.pending.length === 0 && !protocol.done(run.state)) {
    throw new WinnowError('ERR_PROTOCOL_STEP', `${protocol.name} asks nothing and is not done`, {
      expected: 'a prompt, or done',
      received: `instance ${run.instance.id}`,
    });
  }
}

/** Notes the completion of one request and says whether it is settled. */
function settle<State>(
  protocol: Protocol<State>,
  run: Run<State>,
  request: Pending,
  completion: Completion,
  malformed: Required<MalformedPolicy>,
): void {
  const answer = protocol.parse(request.prompt, completion);
  const again = !answer.ok && malformed.policy === 'retry' && request.attempt < malformed.retries;
  run.steps.push({
    shownIds: [...request.prompt.labels.values()],
    answer,
    attempt: request.attempt,
    used: answer.ok || (malformed.policy !== 'fail' && !again),
    completionTokens: completion.tokens.length,
  });
  if (again) request.attempt++;
  else request.answer = answer;
  if (!answer.ok && malformed.policy === 'fail') run.failed = true;
}

function resultOf<State>(protocol: Protocol<State>, run: Run<State>): RankingResult {
  const malformed: Partial<Record<MalformedReason, number>> = {};
  for (const { answer } of run.steps) {
    if (!answer.ok) malformed[answer.reason] = (malformed[answer.reason] ?? 0) + 1;
  }
  return {
    instanceId: run.instance.id,
    ranking: run.failed ? undefined : protocol.ranking(run.state),
    steps: run.steps,
    calls: run.steps.length,
    malformed,
    completionTokens: run.steps.reduce((sum, step) => sum + step.completionTokens, 0),
  };
}

function settlePolicy(malformed: MalformedPolicy | undefined): Required<MalformedPolicy> {
  const settled = { policy: malformed?.policy ?? 'keep_order', retries: malformed?.retries ?? 1 };
  if (
    !['retry', 'keep_order', 'fail'].includes(settled.policy) ||
    !Number.isInteger(settled.retries) ||
    settled.retries < 0
  ) {
    throw new WinnowError('ERR_PROTOCOL_OPTION', 'the policy for malformed completions cannot be used', {
      expected: "policy 'retry', 'keep_order' or 'fail', and retries from 0 on",
      received: JSON.stringify(malformed),
    });
  }
  return settled;
}

/**
 * Ranks all instances at once: every round puts the open requests of all of them into one call of `generate`, and an instance
 * leaves as soon as it is done. The results are in the order of the instances and do not depend on which others are there, if
 * `generate` draws by `promptKeys`.
 */
export async function rankAll<State>(
  protocol: Protocol<State>,
  instances: readonly RankingInstance[],
  generate: Generate,
  options: RankAllOptions = {},
): Promise<RankingResult[]> {
  const malformed = settlePolicy(options.malformed);
  const runs: Run<State>[] = instances.map((instance) => ({
    instance,
    state: protocol.start(instance),
    step: 0,
    failed: false,
    pending: [],
    steps: [],
  }));
  for (const run of runs) openStep(protocol, run);
  for (let round = 0; ; round++) {
    options.signal?.throwIfAborted();
    const asked = runs.flatMap((run) =>
      run.pending.flatMap((request, index) => (request.answer === undefined ? [{ run, request, index }] : [])),
    );
    if (asked.length === 0) break;
    const completions = await generate(
      asked.map(({ request }) => request.prompt),
      {
        promptKeys: asked.map(({ run, request, index }) =>
          stableKey('rank', run.instance.id, run.step, index, request.attempt),
        ),
        round,
      },
    );
    if (completions.length !== asked.length) {
      throw new WinnowError('ERR_PROTOCOL_STEP', 'a generator did not answer every prompt', {
        expected: `${asked.length} completions`,
        received: String(completions.length),
      });
    }
    asked.forEach(({ run, request }, index) => {
      settle(protocol, run, request, completions[index] as Completion, malformed);
    });
    for (const run of runs) advanceWhenSettled(protocol, run);
    options.onProgress?.(runs.filter(({ pending }) => pending.length === 0).length, runs.length);
  }
  return runs.map((run) => resultOf(protocol, run));
}

function advanceWhenSettled<State>(protocol: Protocol<State>, run: Run<State>): void {
  if (run.failed) run.pending = [];
  if (run.pending.length === 0) return;
  const answers = run.pending.map(({ answer }) => answer);
  if (!answers.every((answer) => answer !== undefined)) return;
  run.state = protocol.advance(run.state, answers);
  run.step++;
  openStep(protocol, run);
}
