import { WinnowError } from '../errors.js';
import { stableKey } from '../random.js';
import type { Answer, Completion, MalformedReason, Prompt, Protocol, RankingInstance } from '../types.js';
import { guarded } from './guarded.js';

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

/** A step as it happens, with the texts, for logs; a result does not keep them. */
export interface RankingCall extends RankingStep {
  readonly instanceId: string;
  /** From 0: the step of the protocol, and the prompt's place in it. */
  readonly step: number;
  readonly place: number;
  readonly prompt: Prompt;
  readonly completion: Completion;
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

export interface RankStreamOptions {
  readonly malformed?: MalformedPolicy;
  readonly signal?: AbortSignal;
  /** Most instances that are open at once; default 1024. */
  readonly inFlight?: number;
  /** After every round, before the results of those that it finished: what was asked in it. Awaited. */
  readonly onRound?: (calls: readonly RankingCall[]) => void | Promise<void>;
}

export interface RankAllOptions extends Omit<RankStreamOptions, 'inFlight'> {
  /** After every round: instances done and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

const IN_FLIGHT = 1024;

interface Run<State> {
  readonly instance: RankingInstance;
  /** Among the instances, from 0. */
  readonly index: number;
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

interface Asked<State> {
  readonly run: Run<State>;
  readonly request: Pending;
  readonly place: number;
}

function openStep<State>(protocol: Protocol<State>, run: Run<State>): void {
  const { state, instance } = run;
  const done = guarded(protocol, 'done', instance, () => protocol.done(state));
  const prompts = done ? [] : guarded(protocol, 'prompts', instance, () => protocol.prompts(state));
  run.pending = prompts.map((prompt) => ({ prompt, attempt: 0, answer: undefined }));
  if (run.pending.length === 0 && !done) {
    throw new WinnowError('ERR_PROTOCOL_STEP', `${protocol.name} asks nothing and is not done`, {
      expected: 'a prompt, or done',
      received: `instance ${instance.id}`,
    });
  }
}

/** Notes the completion of one request, and whether it will be asked again. */
function settle<State>(
  protocol: Protocol<State>,
  { run, request, place }: Asked<State>,
  completion: Completion,
  malformed: Required<MalformedPolicy>,
): RankingCall {
  const answer = guarded(protocol, 'parse', run.instance, () => protocol.parse(request.prompt, completion));
  const again = !answer.ok && malformed.policy === 'retry' && request.attempt < malformed.retries;
  const step: RankingStep = {
    shownIds: [...request.prompt.labels.values()],
    answer,
    attempt: request.attempt,
    used: answer.ok || (malformed.policy !== 'fail' && !again),
    completionTokens: completion.tokens.length,
  };
  run.steps.push(step);
  if (again) request.attempt++;
  else request.answer = answer;
  if (!answer.ok && malformed.policy === 'fail') run.failed = true;
  return { ...step, instanceId: run.instance.id, step: run.step, place, prompt: request.prompt, completion };
}

function resultOf<State>(protocol: Protocol<State>, run: Run<State>): RankingResult {
  const malformed: Partial<Record<MalformedReason, number>> = {};
  for (const { answer } of run.steps) {
    if (!answer.ok) malformed[answer.reason] = (malformed[answer.reason] ?? 0) + 1;
  }
  return {
    instanceId: run.instance.id,
    ranking: run.failed ? undefined : guarded(protocol, 'ranking', run.instance, () => protocol.ranking(run.state)),
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

function settleInFlight(inFlight = IN_FLIGHT): number {
  if (inFlight === Number.POSITIVE_INFINITY || (Number.isInteger(inFlight) && inFlight > 0)) return inFlight;
  throw new WinnowError('ERR_PROTOCOL_OPTION', 'so many instances cannot be open at once', {
    expected: 'inFlight, an integer from 1 on',
    received: String(inFlight),
  });
}

/** Puts the open requests of all runs into one call of `generate`, and moves on every run whose step is complete. */
async function playRound<State>(
  protocol: Protocol<State>,
  runs: readonly Run<State>[],
  generate: Generate,
  malformed: Required<MalformedPolicy>,
  round: number,
): Promise<RankingCall[]> {
  const asked = runs.flatMap((run) =>
    run.pending.flatMap((request, place) => (request.answer === undefined ? [{ run, request, place }] : [])),
  );
  const completions = await generate(
    asked.map(({ request }) => request.prompt),
    {
      promptKeys: asked.map(({ run, request, place }) =>
        stableKey('rank', run.instance.id, run.step, place, request.attempt),
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
  const calls = asked.map((one, index) => settle(protocol, one, completions[index] as Completion, malformed));
  for (const run of runs) advanceWhenSettled(protocol, run);
  return calls;
}

function advanceWhenSettled<State>(protocol: Protocol<State>, run: Run<State>): void {
  if (run.failed) run.pending = [];
  if (run.pending.length === 0) return;
  const answers = run.pending.map(({ answer }) => answer);
  if (!answers.every((answer) => answer !== undefined)) return;
  run.state = guarded(protocol, 'advance', run.instance, () => protocol.advance(run.state, answers));
  run.step++;
  openStep(protocol, run);
}

/** After every round the runs that it finished, in the order of the instances; an empty list is a round that finished none. */
async function* finishedRuns<State>(
  protocol: Protocol<State>,
  instances: Iterable<RankingInstance> | AsyncIterable<RankingInstance>,
  generate: Generate,
  options: RankStreamOptions,
): AsyncGenerator<readonly Run<State>[]> {
  const malformed = settlePolicy(options.malformed);
  const inFlight = settleInFlight(options.inFlight);
  const isOpen = (run: Run<State>): boolean => run.pending.length > 0;
  let open: Run<State>[] = [];
  let done: Run<State>[] = [];
  let round = 0;
  const play = async (): Promise<void> => {
    options.signal?.throwIfAborted();
    const calls = await playRound(protocol, open, generate, malformed, round++);
    await options.onRound?.(calls);
    done.push(...open.filter((run) => !isOpen(run)));
    open = open.filter(isOpen);
  };
  let index = 0;
  for await (const instance of instances) {
    const state = guarded(protocol, 'start', instance, () => protocol.start(instance));
    const run: Run<State> = { instance, index: index++, state, step: 0, failed: false, pending: [], steps: [] };
    openStep(protocol, run);
    (isOpen(run) ? open : done).push(run);
    while (open.length >= inFlight || done.length >= inFlight) {
      if (open.length >= inFlight) await play();
      yield done;
      done = [];
    }
  }
  while (open.length > 0) {
    await play();
    yield done;
    done = [];
  }
  if (done.length > 0) yield done;
}

/**
 * Ranks any number of instances: every round puts the open requests of up to `inFlight` of them into one call of `generate`. An
 * instance leaves as soon as it is done, and the next takes its place, so that rounds stay full; instances are drawn from the
 * source only then. The results come as they finish; what they say does not depend on which others are there, nor on `inFlight`,
 * if `generate` draws by `promptKeys`.
 */
export async function* rankStream<State>(
  protocol: Protocol<State>,
  instances: Iterable<RankingInstance> | AsyncIterable<RankingInstance>,
  generate: Generate,
  options: RankStreamOptions = {},
): AsyncGenerator<RankingResult> {
  for await (const runs of finishedRuns(protocol, instances, generate, options)) {
    for (const run of runs) yield resultOf(protocol, run);
  }
}

/** `rankStream` with all instances open from the beginning; the results are in the order of the instances. */
export async function rankAll<State>(
  protocol: Protocol<State>,
  instances: readonly RankingInstance[],
  generate: Generate,
  options: RankAllOptions = {},
): Promise<RankingResult[]> {
  const results: RankingResult[] = [];
  let done = 0;
  const all = { ...options, inFlight: Number.POSITIVE_INFINITY };
  for await (const runs of finishedRuns(protocol, instances, generate, all)) {
    for (const run of runs) results[run.index] = resultOf(protocol, run);
    done += runs.length;
    options.onProgress?.(done, instances.length);
  }
  return results;
}
