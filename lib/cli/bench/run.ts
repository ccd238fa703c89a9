/** A run of `winnow bench`: checks, then each case with its peers, one record after the other. */
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { WinnowError } from '../../errors.js';
import type { DeviceOption } from '../../native/index.js';
import type { Peak } from './accounting.js';
import type { BenchCase, BenchSettings } from './case.js';
import type { CheckRequest, CheckResult } from './check.js';
import { checkPeer, type Gate, requireOwnProducts, type Verdict } from './gate.js';
import { choosePeers, listPeers, type PeerChoice, type PeerRunner, peerName, runPeer } from './peers.js';
import { coresToPin, lastJsonLine, lastWords, runProcess } from './processes.js';
import { type BenchRecord, currentCommit, makeRecord, type PeerRecord, type TimedPeer } from './record.js';
import { type Attempt, interleave, isDisturbed, runLimits, type Side, type TrialRun } from './schedule.js';
import type { CaseReply, LimitsReply, TrialRequest } from './trial.js';
import { type WorkloadName, workloads } from './workloads/index.js';

export interface RunOptions {
  readonly device: DeviceOption;
  readonly settings: BenchSettings;
  readonly trials: number;
  readonly repeats: number;
  /** Of a benchmark: no further round begins after them. */
  readonly minutes: number;
  /** Where the model folder is kept between runs. */
  readonly scratch: string;
  /** The executable of bench/peers; undefined: no peers. */
  readonly peers: string | undefined;
  /** NAME or NAME:DTYPE; none: all. */
  readonly peerChoices: readonly string[];
  readonly peerTimeoutSeconds: number;
  readonly signal: AbortSignal;
  /** A line for people. */
  readonly note: (line: string) => void;
}

const OURS = 'winnow';
const OUR_TIMEOUT_SECONDS = 4 * 3600;

/** The processes of one run: ours are this program once more. */
export class BenchRun {
  readonly #options: RunOptions;
  readonly #verdicts = new Map<string, Verdict>();
  readonly #commit = currentCommit();
  #abilities: Gate['abilities'] = [];
  #choices: readonly PeerChoice[] = [];
  /** All that were measured, by threads. */
  readonly #limits = new Map<number, Peak[]>();

  constructor(options: RunOptions) {
    this.#options = options;
  }

  #modelFolder({ shape }: BenchSettings): string {
    return join(resolve(this.#options.scratch), `${shape}-random-bf16`);
  }

  /** Finds the peers and checks our own products. Throws ERR_BENCHMARK, ERR_USAGE. */
  async prepare(): Promise<void> {
    const { peers, peerChoices, settings, signal } = this.#options;
    if (peers !== undefined) {
      this.#abilities = await listPeers(peers, signal);
      this.#choices = choosePeers(this.#abilities, peerChoices, settings.dtype);
      if (this.#choices.length === 0) this.#options.note(`${peers} lists no peer: none is installed`);
    }
    if (this.#cores(settings.threads) === undefined)
      this.#options.note('taskset was not found: processes are not pinned to cores, and the records say so');
    await requireOwnProducts({ settings, askOurs: this.#askOurs });
  }

  async *records(names: readonly WorkloadName[]): AsyncGenerator<BenchRecord> {
    for (const workload of names)
      for (const benchCase of workloads[workload](this.#options.settings))
        yield await this.#record(workload, benchCase);
  }

  async #record(workload: WorkloadName, benchCase: BenchCase): Promise<BenchRecord> {
    const { trials, repeats, minutes, note } = this.#options;
    const given = this.#options.settings;
    const { threads = given.threads, shape = given.shape } = benchCase;
    const settings = { ...given, threads, shape };
    await this.#ours({ kind: 'write model' }, settings);
    const { timed, refused } = await this.#peerSides(benchCase, settings);
    const ours: Side = { name: OURS, run: () => this.#ownTrial(workload, benchCase, settings) };
    const best = (): Peak => runLimits(this.#limits.get(settings.threads) as Peak[]);
    const end = performance.now() + minutes * 60_000;
    const runs = await interleave({
      sides: [ours, ...timed.map(({ side }) => side)],
      trials,
      repeats,
      isOver: () => performance.now() > end,
      measureLimits: () => this.#measureLimits(settings),
      best,
      onTrial: (run) => note(trialLine(benchCase.name, run, best())),
    });
    return makeRecord({
      benchCase,
      settings,
      pinnedCores: this.#cores(settings.threads),
      runs,
      ours: OURS,
      best: best(),
      timedPeers: timed.map(({ peer }) => peer),
      refused,
      commit: this.#commit,
    });
  }

  async #peerSides(benchCase: BenchCase, settings: BenchSettings) {
    const timed: { side: Side; peer: TimedPeer }[] = [];
    const refused: PeerRecord[] = [];
    const request = benchCase.peer;
    for (const choice of request === undefined ? [] : this.#choices) {
      const { benchmark } = request as NonNullable<typeof request>;
      const name = peerName(choice, settings.dtype);
      const runner = this.#peerRunner(settings);
      const verdict = await this.#verdict(choice, benchmark, settings, runner);
      if (verdict.kind === 'agreed') {
        const run = (): Promise<Attempt> => runPeer(choice, request as NonNullable<typeof request>, runner);
        timed.push({ side: { name, run }, peer: { name, check: verdict.check } });
      } else refused.push({ peer: name, check: verdict.check, status: verdict.kind, reason: verdict.reason });
    }
    return { timed, refused };
  }

  /** Asked once a run. */
  async #verdict(choice: PeerChoice, benchmark: string, settings: BenchSettings, runner: PeerRunner): Promise<Verdict> {
    const key = JSON.stringify([choice, benchmark]);
    const known = this.#verdicts.get(key);
    if (known !== undefined) return known;
    const gate: Gate = { settings, abilities: this.#abilities, runner, askOurs: this.#askOurs };
    const verdict = await checkPeer(gate, choice, benchmark);
    this.#verdicts.set(key, verdict);
    return verdict;
  }

  #peerRunner(settings: BenchSettings): PeerRunner {
    const { peers = '', peerTimeoutSeconds, signal } = this.#options;
    const threads = threadCount(settings);
    const cores = this.#cores(settings.threads);
    return {
      executable: peers,
      modelFolder: this.#modelFolder(settings),
      threads,
      cores,
      timeoutSeconds: peerTimeoutSeconds,
      signal,
    };
  }

  #cores(threads: number): number[] | undefined {
    return coresToPin(threadCount({ threads }));
  }

  readonly #askOurs = (check: CheckRequest): Promise<CheckResult> =>
    this.#ours({ kind: 'check', check }, this.#options.settings) as Promise<unknown> as Promise<CheckResult>;

  async #measureLimits(settings: BenchSettings): Promise<Peak> {
    const { peak } = (await this.#ours({ kind: 'limits' }, settings)) as unknown as LimitsReply;
    this.#limits.set(settings.threads, [...(this.#limits.get(settings.threads) ?? []), peak]);
    return peak;
  }

  async #ownTrial(workload: WorkloadName, { name }: BenchCase, settings: BenchSettings): Promise<Attempt> {
    const reply = await this.#ours({ kind: 'case', workload, name }, settings);
    return { kind: 'done', seconds: (reply as unknown as CaseReply).seconds, reply };
  }

  /** Runs a task in a process of ours. Throws ERR_BENCHMARK where it fails. */
  async #ours(task: TrialRequest['task'], settings: BenchSettings): Promise<Record<string, unknown>> {
    const { device, signal } = this.#options;
    const request: TrialRequest = { device, settings, modelFolder: this.#modelFolder(settings), task };
    const { status, stdout, stderr } = await runProcess({
      command: [process.execPath, process.argv[1] as string, 'bench', '--trial'],
      input: request,
      cores: this.#cores(settings.threads),
      timeoutSeconds: OUR_TIMEOUT_SECONDS,
      signal,
    });
    const reply = lastJsonLine(stdout);
    if (status === 0 && reply !== undefined) return reply;
    const what = task.kind === 'case' ? `benchmark ${task.name}` : `task "${task.kind}" of a benchmark`;
    throw new WinnowError('ERR_BENCHMARK', `the process of ${what} failed`, {
      received: `exit status ${status}: ${lastWords(stderr)}`,
    });
  }
}

const threadCount = ({ threads }: Pick<BenchSettings, 'threads'>): number => threads || availableParallelism();

function trialLine(name: string, run: TrialRun, best: Peak): string {
  const { side, round, attempt } = run;
  const what =
    attempt.kind === 'done'
      ? `${attempt.seconds.map((value) => value.toPrecision(4)).join(', ')} s`
      : `${attempt.kind}: ${attempt.reason}`;
  return `${name}, round ${round}, ${side}: ${what}${isDisturbed(run, best) ? ` (disturbed: ${limitsLine(run, best)})` : ''}`;
}

function limitsLine({ before, after }: TrialRun, best: Peak): string {
  const least = (of: keyof Peak): number => Math.min(before[of], after[of]) / 1e9;
  const flops = `${least('flopsPerSecond').toFixed(1)} of ${(best.flopsPerSecond / 1e9).toFixed(1)} GFLOP/s`;
  return `${flops}, ${least('bytesPerSecond').toFixed(1)} of ${(best.bytesPerSecond / 1e9).toFixed(1)} GB/s`;
}
