/** Kills runs of the real engine at random moments and resumes them until they are complete; then their bytes are compared. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { RandomStream } from '../../lib/random.js';
import { resolveConfig, type TrainConfig } from '../../lib/train/config.js';

const kChild = fileURLToPath(new URL('./kill-child.mjs', import.meta.url));

interface Ending {
  /** Null when it was killed. */
  readonly code: number | null;
  readonly lines: readonly string[];
  readonly milliseconds: number;
  /** Of these, until the first line. */
  readonly beginning: number;
}

/** Starts the child and kills it `after` so many milliseconds, counted from its start, or from its first line. */
export function runAndKill(
  args: readonly string[],
  { after = Number.POSITIVE_INFINITY, from = 'start' }: { after?: number; from?: 'start' | 'first line' } = {},
): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(process.execPath, [kChild, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    const killLater = () => {
      if (Number.isFinite(after)) setTimeout(() => child.kill('SIGKILL'), after);
    };
    if (from === 'start') killLater();
    else child.stdout.once('data', killLater);
    let [said, errors, beginning] = ['', '', 0];
    child.stdout.once('data', () => {
      beginning = performance.now() - started;
    });
    child.stdout.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      errors += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code !== null && code !== 0) reject(new Error(errors));
      else
        resolve({
          code,
          lines: said.split('\n').filter(Boolean),
          milliseconds: performance.now() - started,
          beginning,
        });
    });
  });
}

/** Where the kills fell. */
export interface KillFigures {
  kills: number;
  /** Runs that were brought to their end. */
  runs: number;
  /** With a checkpoint half written, or half deleted, on the disk. */
  insideCheckpoints: number;
  insideDeletions: number;
  /** What the run had told last, or nothing: where the kills fell. */
  readonly lastEvents: Record<string, number>;
}

/** Runs of all variants, in turn, until so many kills are done and the last run is complete. */
export async function killRuns(
  variants: readonly ((output: string) => TrainConfig)[],
  { kills, seed }: { readonly kills: number; readonly seed: number },
): Promise<KillFigures> {
  const root = mkdtempSync(join(tmpdir(), 'winnow-kill-'));
  const random = new RandomStream(seed, 'kill');
  const figures: KillFigures = { kills: 0, runs: 0, insideCheckpoints: 0, insideDeletions: 0, lastEvents: {} };
  const straight: Straight[] = [];
  for (const [index, variant] of variants.entries()) {
    straight.push(await straightRun(variant, join(root, `whole-${index}`)));
  }
  for (let number = 0; figures.kills < kills; number++) {
    const variant = number % variants.length;
    const output = join(root, `run-${number}`);
    const { milliseconds, beginning, folder } = straight[variant] as Straight;
    const args = trainArguments((variants[variant] as (output: string) => TrainConfig)(output));
    // Uniform over all that an undisturbed process does; of four kills three from the run's beginning on, as a busy machine starts slowly.
    const next = () => {
      if (figures.kills >= kills) return {};
      if (random.uniform() < 0.25) return { after: random.uniform() * milliseconds };
      return { after: random.uniform() * (milliseconds - beginning), from: 'first line' as const };
    };
    for (let ending = await runAndKill(args, next()); ending.code === null; ending = await runAndKill(args, next())) {
      note(figures, output, ending);
    }
    figures.runs++;
    requireSameBytes(folder, output);
    rmSync(output, { recursive: true });
  }
  return figures;
}

interface Straight {
  readonly folder: string;
  readonly milliseconds: number;
  readonly beginning: number;
}

async function straightRun(variant: (output: string) => TrainConfig, folder: string): Promise<Straight> {
  const { milliseconds, beginning } = await runAndKill(trainArguments(variant(folder)));
  return { folder, milliseconds, beginning };
}

function trainArguments(config: TrainConfig): string[] {
  return ['train', config.output, JSON.stringify(resolveConfig(config))];
}

function note(figures: KillFigures, output: string, { lines }: Ending): void {
  const root = join(output, 'checkpoints');
  const names = existsSync(root) ? readdirSync(root) : [];
  figures.kills++;
  if (names.some((name) => name.startsWith('.writing-'))) figures.insideCheckpoints++;
  if (names.some((name) => name.startsWith('.deleting-'))) figures.insideDeletions++;
  const last = lines.at(-1) ?? 'nothing';
  figures.lastEvents[last] = (figures.lastEvents[last] ?? 0) + 1;
}

/** The same files and pointers; in metrics, samples, and every file of the last checkpoint: weights, moments, what stages keep, the same bytes. */
function requireSameBytes(expected: string, received: string): void {
  const names = (folder: string) => (readdirSync(folder, { recursive: true }) as string[]).sort();
  expect(names(received)).toEqual(names(expected));
  for (const pointer of ['latest', 'best'].map((name) => join('checkpoints', name))) {
    if (existsSync(join(expected, pointer)))
      expect(readFileSync(join(received, pointer), 'utf8')).toBe(readFileSync(join(expected, pointer), 'utf8'));
  }
  const checkpoints = readdirSync(join(expected, 'checkpoints')).sort();
  const last = join('checkpoints', checkpoints.at(-1) as string);
  const files = readdirSync(join(expected, last), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(expected.length + 1))
    // The lengths of journals count timing.jsonl, whose seconds differ.
    .filter((name) => !/(state|manifest)\.json$/.test(name));
  expect(files).toContain(join(last, 'trainer_state', 'optimizer.safetensors'));
  for (const name of ['metrics.jsonl', 'samples.jsonl', ...files]) {
    expect(readFileSync(join(received, name)).equals(readFileSync(join(expected, name))), name).toBe(true);
  }
}
