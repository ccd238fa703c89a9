/** Other systems on the same work, by the protocol of bench/peers/README.md. */
import { resolve } from 'node:path';
import { WinnowError } from '../../errors.js';
import type { PeerRequest } from './case.js';
import { lastJsonLine, lastWords, type ProcessOutcome, runProcess } from './processes.js';
import type { Attempt } from './schedule.js';

/** What `--peer NAME[:DTYPE]` chooses. */
export interface PeerChoice {
  readonly peer: string;
  readonly dtype: string;
}

/** A line of `run --list`. */
export interface PeerAbility {
  readonly peer: string;
  readonly benchmark: string;
  readonly dtypes: readonly string[];
}

export interface PeerRunner {
  /** The executable, e.g. bench/peers/run. */
  readonly executable: string;
  readonly modelFolder: string;
  readonly threads: number;
  readonly cores: readonly number[] | undefined;
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
}

const EXIT_NOT_DONE = 3;
const LIST_SECONDS = 120;

function isAbility(value: Record<string, unknown> | undefined): value is Record<string, unknown> & PeerAbility {
  return (
    typeof value?.peer === 'string' &&
    typeof value.benchmark === 'string' &&
    Array.isArray(value.dtypes) &&
    value.dtypes.every((dtype) => typeof dtype === 'string')
  );
}

function listError(executable: string, received: string): WinnowError {
  return new WinnowError('ERR_BENCHMARK', `${executable} does not list its peers`, {
    expected: 'one JSON object a line with peer, benchmark and dtypes',
    received,
    hint: 'see bench/peers/README.md',
  });
}

/** What the executable can run now. Throws ERR_BENCHMARK where it cannot say. */
export async function listPeers(executable: string, signal: AbortSignal): Promise<PeerAbility[]> {
  const command = [resolve(executable), '--list'];
  const request = { command, input: {}, cores: undefined, timeoutSeconds: LIST_SECONDS, signal };
  const { status, stdout, stderr } = await runProcess(request);
  if (status !== 0) throw listError(executable, `exit status ${status}: ${lastWords(stderr)}`);
  const lines = stdout.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => {
    const ability = lastJsonLine(line);
    if (!isAbility(ability)) throw listError(executable, line.slice(0, 200));
    return { peer: ability.peer, benchmark: ability.benchmark, dtypes: ability.dtypes };
  });
}

/** `NAME` is that peer in the run's dtype, `NAME:DTYPE` in another; without choices, all that are listed with the run's dtype. */
export function choosePeers(
  abilities: readonly PeerAbility[],
  choices: readonly string[],
  dtype: string,
): PeerChoice[] {
  const names = [...new Set(abilities.map(({ peer }) => peer))];
  if (choices.length === 0) return names.map((peer) => ({ peer, dtype }));
  return choices.map((choice) => {
    const [peer = '', own = dtype] = choice.split(':');
    if (!names.includes(peer))
      throw new WinnowError('ERR_USAGE', `there is no such peer: ${peer}`, {
        expected: names.length > 0 ? names.join(', ') : 'an installed peer',
        received: choice,
        hint: 'bench/peers/install installs them',
      });
    return { peer, dtype: own };
  });
}

export const peerName = ({ peer, dtype }: PeerChoice, ownDtype: string): string =>
  dtype === ownDtype ? peer : `${peer}:${dtype}`;

/** One trial of a peer in a process of its own. */
export async function runPeer(choice: PeerChoice, request: PeerRequest, runner: PeerRunner): Promise<Attempt> {
  const { modelFolder, threads, cores, timeoutSeconds, signal } = runner;
  const outcome = await runProcess({
    command: [resolve(runner.executable), choice.peer, request.benchmark],
    input: { model: modelFolder, dtype: choice.dtype, threads, ...request.body },
    cores,
    timeoutSeconds,
    signal,
  });
  return readAttempt(outcome, request, timeoutSeconds);
}

const isSeconds = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value > 0;

/** What a peer's process made of a request. */
export function readAttempt(outcome: ProcessOutcome, request: PeerRequest, timeoutSeconds: number): Attempt {
  const failed = (reason: string): Attempt => ({ kind: 'failed', reason });
  const { status, stdout, stderr, timedOut } = outcome;
  if (timedOut) return failed(`not done within ${timeoutSeconds} s`);
  if (status === EXIT_NOT_DONE) return { kind: 'not done', reason: lastWords(stderr) };
  if (status !== 0) return failed(`exit status ${status}: ${lastWords(stderr)}`);
  const reply = lastJsonLine(stdout);
  if (reply === undefined) return failed(`the last line is no JSON object: ${lastWords(stdout).slice(0, 200)}`);
  const { seconds } = reply;
  const all: unknown[] = Array.isArray(seconds) ? seconds : [seconds];
  if (!all.every(isSeconds)) return failed(`seconds are ${JSON.stringify(seconds)}, expected positive numbers`);
  if (all.length <= request.warmups)
    return failed(`${all.length} times, expected more than the ${request.warmups} of warm-up`);
  for (const [name, value] of Object.entries(request.expected))
    if (reply[name] !== value) return failed(`${name} is ${JSON.stringify(reply[name])}, expected ${value}`);
  return { kind: 'done', seconds: all.slice(request.warmups).map((value) => value * request.scale), reply };
}
