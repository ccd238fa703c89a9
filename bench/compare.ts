// npm run bench:compare -- OLD.json NEW.json: exit status 1 where something became worse, 2 where nothing can be compared.
import { readFileSync } from 'node:fs';
import { type Comparison, compareRuns, readRecords } from './compare-records.js';

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function line({ verdict, key, figure, old, new: now, change, limit }: Comparison): string {
  const figures = `${old.toPrecision(3)} -> ${now.toPrecision(3)} (${percent(change)}, counts beyond ${percent(limit)})`;
  return `${verdict.padEnd(6)} ${key}: ${figure} ${figures}`;
}

function main([older, newer, ...rest]: readonly string[]): number {
  if (older === undefined || newer === undefined || rest.length > 0) {
    console.error('usage: npm run bench:compare -- OLD.json NEW.json');
    return 2;
  }
  const [before, after] = [older, newer].map((path) => readRecords(readFileSync(path, 'utf8')));
  const { comparisons, onlyOld, onlyNew } = compareRuns(before ?? [], after ?? []);
  for (const comparison of comparisons) console.log(line(comparison));
  for (const key of onlyOld) console.log(`gone   ${key}`);
  for (const key of onlyNew) console.log(`new    ${key}`);
  const worse = comparisons.filter(({ verdict }) => verdict === 'worse').length;
  console.log(`${comparisons.length} figures compared, ${worse} worse`);
  if (comparisons.length === 0) return 2;
  return worse > 0 ? 1 : 0;
}

process.exitCode = main(process.argv.slice(2));
