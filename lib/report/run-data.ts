/** All that a report shows, gathered from the journals of a run folder or from the events of a run that goes on. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ComparisonRecord, EvaluationRecord, SampleRecord, StepRecord, TimingRecord } from '../train/events.js';
import { readJournal } from '../train/journal.js';

export type RunStatus = 'running' | 'completed' | 'stopped' | 'failed';

/** Facts of the run, as the trainer writes them to run.json. */
export interface RunFacts {
  readonly name: string;
  readonly notes: readonly string[];
  /** Steps planned over all stages. */
  readonly steps: number;
  readonly device: string;
  readonly parameters: number;
  readonly config: unknown;
}

export interface RunData {
  readonly facts: RunFacts;
  readonly status: RunStatus;
  readonly steps: readonly StepRecord[];
  readonly timing: readonly TimingRecord[];
  readonly evaluations: readonly EvaluationRecord[];
  readonly comparisons: readonly ComparisonRecord[];
  readonly samples: readonly SampleRecord[];
}

/** Reads what a run folder holds; a run that still goes on is read up to its last whole line. */
export function readRunData(folder: string, status: RunStatus): RunData {
  const metrics = readJournal(folder, 'metrics') as (StepRecord | EvaluationRecord | ComparisonRecord)[];
  return {
    facts: readFacts(folder),
    status,
    steps: metrics.filter((record) => record.type === 'step'),
    evaluations: metrics.filter((record) => record.type === 'evaluation'),
    comparisons: metrics.filter((record) => record.type === 'comparison'),
    timing: readJournal(folder, 'timing') as TimingRecord[],
    samples: readJournal(folder, 'samples') as SampleRecord[],
  };
}

function readFacts(folder: string): RunFacts {
  const path = join(folder, 'run.json');
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as RunFacts;
  return { name: 'Winnow training run', notes: [], steps: 0, device: '', parameters: 0, config: undefined };
}
