/** Trials as processes: pinned to cores, with one JSON object in and one JSON object, the last line, out. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';

/** "0-2,5" -> [0, 1, 2, 5], as Linux writes lists of processors. */
export function parseCoreList(list: string): number[] {
  return list
    .trim()
    .split(',')
    .filter((part) => part !== '')
    .flatMap((part) => {
      const [first = Number.NaN, last = first] = part.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, i) => first + i);
    });
}

/** The first `count` cores that this process may use; undefined where processes cannot be pinned. */
export function coresToPin(count: number): number[] | undefined {
  if (process.platform !== 'linux' || spawnSync('taskset', ['--version']).status !== 0) return undefined;
  const [, allowed] = readFileSync('/proc/self/status', 'utf8').match(/^Cpus_allowed_list:\s*(\S+)$/m) ?? [];
  return allowed === undefined ? undefined : parseCoreList(allowed).slice(0, count);
}

export interface ProcessRequest {
  readonly command: readonly string[];
  readonly input: unknown;
  /** Undefined: not pinned. */
  readonly cores: readonly number[] | undefined;
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
}

export interface ProcessOutcome {
  /** Null when a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

const ERROR_CHARACTERS = 4096;

/** Runs a process to its end, with `input` as JSON on its stdin. When the time is over it is killed with all that it started. */
export async function runProcess(request: ProcessRequest): Promise<ProcessOutcome> {
  const { cores, timeoutSeconds, signal } = request;
  signal.throwIfAborted();
  const pinned = cores === undefined ? request.command : ['taskset', '-c', cores.join(','), ...request.command];
  // A process group of its own, so that what a peer's script starts ends with it.
  const child = spawn(pinned[0] as string, pinned.slice(1), { stdio: 'pipe', detached: true });
  let timedOut = false;
  const kill = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };
  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, 1000 * timeoutSeconds);
  signal.addEventListener('abort', kill);
  // A process that ends without reading its input closes the pipe; its exit status says what happened.
  child.stdin.on('error', () => {});
  child.stdin.end(`${JSON.stringify(request.input)}\n`);
  try {
    const [stdout, stderr, [status]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close') as Promise<[number | null]>,
    ]);
    signal.throwIfAborted();
    return { status, stdout, stderr: stderr.slice(-ERROR_CHARACTERS), timedOut };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', kill);
  }
}

/** The last line of an output as a JSON object; undefined where it is none. */
export function lastJsonLine(output: string): Record<string, unknown> | undefined {
  const line = output.trimEnd().split('\n').at(-1) ?? '';
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** The last line of what a failed process said. */
export const lastWords = (output: string): string => output.trim().split('\n').at(-1) ?? '';
