// Starts a long call and ends the process, or the worker thread, in the middle of it.
import { createRequire } from 'node:module';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const [addonPath, ending, configText] = isMainThread ? process.argv.slice(2) : workerData;
const addon = createRequire(import.meta.url)(addonPath);
const config = JSON.parse(configText);

async function start(threads) {
  const session = addon.openSession({ device: 'cpu', threads });
  const source = { kind: 'random', seed: 1, standardDeviation: 0.05 };
  const model = await addon.createModel(session, { config, dtype: 'f32', source }, { id: 1 });
  const count = 4000;
  const tokens = Int32Array.from(
    { length: count * 100 },
    (_, i) => (i * 7919 + Math.floor(i / 100)) % config.vocabulary,
  );
  const offsets = Float64Array.from({ length: count + 1 }, (_, s) => s * 100);
  let onStart;
  const started = new Promise((resolve) => {
    onStart = resolve;
  });
  const request = { tokens, offsets, temperature: 1, maxBatchTokens: 100, adapter: true };
  const call = addon.score(model, request, { id: 2, onProgress: onStart });
  await started;
  return { session, model, call };
}

if (isMainThread) {
  if (ending === 'exit') {
    await start(2);
    console.log('exiting');
    process.exit(7);
  } else if (ending === 'throw') {
    await start(2);
    setTimeout(() => {
      throw new Error('uncaught on purpose');
    });
  } else if (ending === 'idle') {
    // Neither session nor model is closed; nothing runs. The process has to end by itself.
    const session = addon.openSession({ device: 'cpu', threads: 2 });
    const source = { kind: 'random', seed: 1, standardDeviation: 0.05 };
    await addon.createModel(session, { config, dtype: 'f32', source }, { id: 1 });
    console.log('idle');
  } else if (ending === 'pending') {
    // A call keeps the process alive until it has settled, though nobody awaits it.
    const { session, call } = await start(1);
    call.catch((error) => console.log(error.code));
    setTimeout(() => addon.cancelCall(session, 2), 20).unref();
    setTimeout(() => {}, 60);
  } else {
    // terminate | worker-exit: worker threads end in mid-work, again and again, next to a living session.
    const { session, call } = await start(1);
    call.catch(() => {});
    for (let round = 0; round < 4; round++) {
      const worker = new Worker(new URL(import.meta.url), { workerData: [addonPath, ending, configText] });
      // Listened to before the first message: a worker that ends by itself may be gone when the message is read.
      const exited = new Promise((resolve) => worker.once('exit', resolve));
      await new Promise((resolve) => worker.once('message', resolve));
      if (ending === 'terminate') await worker.terminate();
      else await exited;
    }
    addon.cancelCall(session, 2);
    await addon.closeSession(session);
    console.log('survived');
  }
} else {
  await start(1);
  parentPort.postMessage('running');
  if (ending === 'worker-exit') process.exit(0);
}
