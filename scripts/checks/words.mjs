// What must not stand in a tracked file: notes of unfinished work, paths of one machine, hosts of package registries.
import { listFiles, readText } from './files.mjs';

const BINARY = /\.(safetensors|png|gz|parquet|wasm)$/;

// Each pattern is written so that it does not match this file.
const RULES = [
  [/\bTO(?:DO)\b|\bFIX(?:ME)\b/, 'unfinished work'],
  [/(?<![\w.~-])\/(?:home|Users|root|work)\/[\w.]/, 'a path of one machine'],
  [/\bregistr(?:y)\.[\w-]+\.\w+|"resolved(?:")\s*:\s*"https?:/, 'the host of a package registry'],
];

/** `registryUrl`: the registry of this machine, as npm tells its scripts. */
export function checkWords(root, { registryUrl = process.env.npm_config_registry } = {}) {
  const rules = [...RULES];
  const host = registryUrl && URL.canParse(registryUrl) ? new URL(registryUrl).hostname : '';
  if (host) rules.push([new RegExp(`(?<![\\w.-])${host.replaceAll('.', '\\.')}`), 'the host of a package registry']);
  return listFiles(root)
    .filter((path) => !BINARY.test(path))
    .flatMap((path) =>
      readText(root, path)
        .split('\n')
        .flatMap((line, index) =>
          rules
            .filter(([pattern]) => pattern.test(line))
            .map(([, what]) => `${path}:${index + 1}: ${what}: ${line.trim().slice(0, 100)}`),
        ),
    );
}
