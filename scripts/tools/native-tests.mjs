// Builds and runs the C++ tests with CMake and CTest.
import { join } from 'node:path';
import { buildAddon } from './addon.mjs';
import { jobs, root, run } from './process.mjs';

const target = 'winnow_native_tests';

/** Builds the release tests next to the addon, sharing its objects. */
export async function buildReleaseTests() {
  await buildAddon('cmake');
  run('cmake', ['--build', join(root, 'build', 'cmake-release'), '--target', target, '--parallel', String(jobs)], {
    quiet: true,
  });
}

export function runReleaseTests() {
  run('ctest', ['--test-dir', join(root, 'build', 'cmake-release'), '--output-on-failure']);
}

/** Configures, builds and runs the tests under a preset of CMakePresets.json. */
export function runPreset(preset) {
  run('cmake', ['--preset', preset], { quiet: true });
  run('cmake', ['--build', '--preset', preset, '--target', target, '--parallel', String(jobs)]);
  run('ctest', ['--preset', preset], {
    env: { ASAN_OPTIONS: 'detect_leaks=1:strict_string_checks=1', UBSAN_OPTIONS: 'print_stacktrace=1' },
  });
}
