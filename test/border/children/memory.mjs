// Resident memory after many models: `dispose` frees each, `gc` leaves them to the collector, `leak` keeps them.
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [addonPath, ending, configText] = process.argv.slice(2);
const addon = createRequire(import.meta.url)(addonPath);
const config = JSON.parse(configText);
const session = addon.openSession({ device: 'cpu', threads: 1 });
// From a file: drawing the weights would take most of the time.
const folder = mkdtempSync(join(tmpdir(), 'winnow-memory-'));
const path = join(folder, 'model.safetensors');
const random = { kind: 'random', seed: 1, standardDeviation: 0.05 };
const first = await addon.createModel(session, { config, dtype: 'f32', source: random }, { id: 1 });
await addon.saveModel(first, { path, dtype: 'f32' }, { id: 2 });
await addon.disposeModel(first);
const source = { kind: 'files', paths: [path] };
const kept = [];
const rss = () => process.memoryUsage().rss / 2 ** 20;
const pause = () => new Promise((resolve) => setTimeout(resolve, 1));

async function round(id) {
  const model = await addon.createModel(session, { config, dtype: 'f32', source }, { id });
  if (ending === 'dispose') await addon.disposeModel(model);
  if (ending === 'leak') kept.push(model);
}

for (let id = 0; id < 10; id++) await round(id);
globalThis.gc();
await pause();
const before = rss();
let peak = 0;
const rounds = ending === 'leak' ? 40 : 200;
for (let id = 0; id < rounds; id++) {
  await round(id);
  peak = Math.max(peak, rss());
  // Finalizers run between turns of the event loop; V8 itself decides when to collect in the gc case.
  if (id % 10 === 9) await pause();
}
globalThis.gc();
await pause();
await pause();
// The queue is in order: once this call is done, every release before it is.
await addon.disposeModel(await addon.createModel(session, { config, dtype: 'f32', source }, { id: 9999 }));
console.log(JSON.stringify({ before, after: rss(), peak, rounds }));
await addon.closeSession(session);
rmSync(folder, { recursive: true });
