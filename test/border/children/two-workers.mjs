// Two worker threads, each with a session of its own, score the same sequences at the same time.
import { createRequire } from 'node:module';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const [addonPath, configText] = isMainThread ? process.argv.slice(2) : workerData;

if (isMainThread) {
  const results = await Promise.all(
    [1, 2].map(
      () =>
        new Promise((resolve, reject) => {
          const worker = new Worker(new URL(import.meta.url), { workerData: [addonPath, configText] });
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
  console.log(results[0] === results[1] && results[0].length > 10 ? 'same' : `differ: ${results}`);
} else {
  const addon = createRequire(import.meta.url)(addonPath);
  const config = JSON.parse(configText);
  const session = addon.openSession({ device: 'cpu', threads: 2 });
  const source = { kind: 'random', seed: 1, standardDeviation: 0.1 };
  const model = await addon.createModel(session, { config, dtype: 'f32', source }, { id: 1 });
  const tokens = Int32Array.from({ length: 200 }, (_, i) => (i * 7) % config.vocabulary);
  const request = { tokens, offsets: Float64Array.of(0, 200), temperature: 1, maxBatchTokens: 64, adapter: true };
  let scores;
  for (let id = 2; id < 40; id++) scores = await addon.score(model, request, { id });
  await addon.closeSession(session);
  parentPort.postMessage(Buffer.from(scores.buffer).toString('base64'));
}
