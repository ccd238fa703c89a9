// npm run test:native, npm run test:sanitize: the C++ tests, by CMake and CTest.
import { parseArgs } from 'node:util';
import { hasCmake } from './tools/addon.mjs';
import { buildReleaseTests, runPreset, runReleaseTests } from './tools/native-tests.mjs';
import { runMain, ToolError } from './tools/process.mjs';
import { withBuildLock } from './tools/stamp.mjs';

await runMain(async (args) => {
  const { values } = parseArgs({ args, options: { preset: { type: 'string', default: 'release' } } });
  if (!hasCmake()) throw new ToolError('cmake was not found; the C++ tests need it');
  if (values.preset === 'release') {
    await withBuildLock(buildReleaseTests);
    runReleaseTests();
  } else {
    await withBuildLock(() => runPreset(values.preset));
  }
});
