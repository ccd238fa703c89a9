/** What a process of `winnow bench --trial` does, asked by one JSON object on its stdin. */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  type DeviceOption,
  type Model,
  openSession,
  readModelFolder,
  type Session,
  writeModelConfig,
} from '../../native/index.js';
import type { Peak } from './accounting.js';
import type { BenchSettings, CaseResult } from './case.js';
import { type CheckRequest, type CheckResult, runCheck } from './check.js';
import { benchShapes } from './shapes.js';
import { type WorkloadName, workloads } from './workloads/index.js';

export interface TrialRequest {
  readonly device: DeviceOption;
  readonly settings: BenchSettings;
  readonly modelFolder: string;
  readonly task:
    | { readonly kind: 'write model' }
    | { readonly kind: 'limits' }
    | { readonly kind: 'case'; readonly workload: WorkloadName; readonly name: string }
    | { readonly kind: 'check'; readonly check: CheckRequest };
}

/** The engine that a process got. */
export interface Engine {
  readonly device: string;
  readonly instructions: string;
  readonly threads: number;
}

export interface LimitsReply extends Engine {
  readonly peak: Peak;
}

export interface CaseReply extends CaseResult, Engine {
  readonly peakResidentBytes: number;
}

const LIMIT_REPEATS = 5;
const LIMIT_ROUNDS = 5;
/** On a busy machine the loops take many times as long, and more of them tell no more. */
const LIMIT_SECONDS = 0.6;

/** The best of a few runs: other load on the machine can only slow them down. */
async function measurePeak(session: Session, { dtype }: BenchSettings): Promise<Peak> {
  const best = async (name: string, of: 'flops' | 'bytes'): Promise<number> => {
    const started = performance.now();
    let rate = 0;
    for (let round = 0; round < LIMIT_ROUNDS && performance.now() - started < 1000 * LIMIT_SECONDS; round++) {
      const result = await session.benchmark({ name, shape: {}, dtype, repeats: LIMIT_REPEATS });
      rate = Math.max(rate, result[of] / Math.min(...result.seconds));
    }
    return rate;
  };
  return { flopsPerSecond: await best('peak', 'flops'), bytesPerSecond: await best('stream', 'bytes') };
}

const MODEL_SEED = 1;
const STANDARD_DEVIATION = 0.02;

/** The folder whose weights all sides read, bf16 in the Hugging Face layout; it appears whole or not at all. */
async function writeModelFolder(session: Session, folder: string, { shape }: BenchSettings): Promise<void> {
  if (existsSync(folder)) return;
  const config = benchShapes[shape];
  const unfinished = `${folder}.${process.pid}.tmp`;
  mkdirSync(unfinished, { recursive: true });
  try {
    const source = { kind: 'random' as const, seed: MODEL_SEED, standardDeviation: STANDARD_DEVIATION };
    const model = await session.createModel({ config, dtype: 'bf16', source });
    await model.save(join(unfinished, 'model.safetensors'), 'bf16');
    writeModelConfig(unfinished, config, { eosTokenIds: [config.vocabulary - 1], dtype: 'bf16' });
    renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

function loadFolder(session: Session, folder: string, { dtype }: BenchSettings): Promise<Model> {
  const { config, weightFiles } = readModelFolder(folder);
  return session.createModel({ config, dtype, source: { kind: 'files', paths: weightFiles } });
}

/** Does the task in a session of its own; the result is what goes to stdout. */
export async function runTask(
  request: TrialRequest,
): Promise<Engine & (CaseReply | LimitsReply | CheckResult | object)> {
  const { device, settings, modelFolder, task } = request;
  const session = openSession({ device, threads: settings.threads });
  try {
    const engine: Engine = { device: session.device, instructions: session.instructions, threads: session.threads };
    const loadModel = (): Promise<Model> => loadFolder(session, modelFolder, settings);
    switch (task.kind) {
      case 'write model':
        await writeModelFolder(session, modelFolder, settings);
        return engine;
      case 'limits':
        return { ...engine, peak: await measurePeak(session, settings) };
      case 'check':
        return { ...engine, ...(await runCheck(task.check, session, settings, loadModel)) };
      case 'case': {
        const found = workloads[task.workload](settings).find(({ name }) => name === task.name);
        if (found === undefined) throw new Error(`${task.workload} has no case ${task.name}`);
        const result = await found.run({ session, settings, loadModel });
        return { ...engine, ...result, peakResidentBytes: process.resourceUsage().maxRSS * 1024 };
      }
    }
  } finally {
    await session.close();
  }
}
