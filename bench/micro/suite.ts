/** Runs cases with the `benchmark` package: a line for people each, then the JSON records. */
import Benchmark from 'benchmark';

export interface MicroCase {
  readonly name: string;
  /** What one run processes, for the rate; e.g. {count: 512, unit: 'tokens'}. */
  readonly work: { readonly count: number; readonly unit: string };
  readonly run: () => unknown;
}

/** A result that nothing uses could be optimised away; it is kept here. */
export let lastResult: unknown;

export function runSuite(group: string, cases: readonly MicroCase[]): void {
  const records: unknown[] = [];
  const suite = new Benchmark.Suite();
  for (const { name, run } of cases)
    suite.add(name, () => {
      lastResult = run();
    });
  suite.on('cycle', (event: Benchmark.Event) => {
    const { hz, stats, name, error } = event.target as Benchmark.Target & { error?: Error };
    if (error) throw error;
    const work = cases.find((one) => one.name === name)?.work ?? { count: 1, unit: 'runs' };
    const rate = (hz ?? 0) * work.count;
    const spread = stats?.rme ?? Number.NaN;
    console.log(
      `${group} / ${name}: ${rate >= 1e6 ? `${(rate / 1e6).toFixed(2)} M` : rate.toPrecision(3)} ${work.unit}/s +- ${spread.toFixed(1)} %`,
    );
    records.push({
      group,
      benchmark: name,
      unit: work.unit,
      perSecond: rate,
      relativeErrorPercent: spread,
      node: process.version,
    });
  });
  suite.run();
  for (const record of records) console.log(JSON.stringify(record));
}
