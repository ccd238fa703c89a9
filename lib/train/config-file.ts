/** Reads a YAML configuration, applies `--set a.b=c`, and reports a fault with its line. */
import { readFileSync } from 'node:fs';
import { Document, isMap, isNode, isPair, isSeq, LineCounter, type Pair, parse, parseDocument } from 'yaml';
import { WinnowError } from '../errors.js';
import { type Locate, type ResolvedConfig, resolveConfig } from './config.js';
import { withPreset } from './preset.js';
import type { PresetName } from './presets.js';

/** Throws ERR_CONFIG_FILE, ERR_CONFIG_SYNTAX, or what `resolveConfig` throws, with file and line. */
export function readConfig(path: string, sets: readonly string[] = [], preset?: PresetName): ResolvedConfig {
  return parseConfig(readText(path), path, sets, preset);
}

/**
 * As `readConfig`, from text; `name` stands for the file in messages. The text's own `preset`, or else `preset`, is filled in
 * first, so that `sets` can reach into it.
 */
export function parseConfig(
  text: string,
  name: string,
  sets: readonly string[] = [],
  preset?: PresetName,
): ResolvedConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const fault = document.errors[0];
  if (fault !== undefined) {
    throw new WinnowError('ERR_CONFIG_SYNTAX', `${name} line ${lines.linePos(fault.pos[0]).line} is not YAML`, {
      received: fault.message,
    });
  }
  const filled = fillPreset(document as Document, preset);
  const assigned = sets.map((set) => applySet(filled, set));
  const locate: Locate = (keys) => {
    const set = assigned.find((path) => path.every((key, index) => String(keys[index]) === key));
    if (set !== undefined) return `--set ${set.join('.')}`;
    const offset = offsetOf(document as Document, keys);
    return offset === undefined ? name : `${name} line ${lines.linePos(offset).line}`;
  };
  return resolveConfig(filled.toJS(), locate);
}

/** The document itself where no preset is asked for: it knows what stands in which line. */
function fillPreset(document: Document, preset: PresetName | undefined): Document {
  const written: unknown = document.toJS();
  const own = written ?? (preset === undefined ? written : {});
  if (typeof own !== 'object' || own === null) return document;
  const named = preset === undefined || 'preset' in own ? own : { ...own, preset };
  return 'preset' in named ? new Document(withPreset(named)) : document;
}

/** Applies one `a.b=c` and returns its path. Numbers in the path are list positions; the value is YAML. */
function applySet(document: Document, set: string): string[] {
  const equals = set.indexOf('=');
  const path = set.slice(0, equals).split('.');
  if (equals < 1 || path.some((key) => key === '')) {
    throw new WinnowError('ERR_CONFIG_SET', 'cannot read --set', { expected: 'a.b=value', received: set });
  }
  try {
    document.setIn(path, document.createNode(parse(set.slice(equals + 1))));
  } catch (cause) {
    const hint = 'only maps and lists that exist can be set into';
    throw new WinnowError('ERR_CONFIG_SET', 'cannot apply --set', { received: set, hint, cause });
  }
  return path;
}

/** Where the deepest part of `keys` that exists stands in the text. */
function offsetOf(document: Document, keys: readonly PropertyKey[]): number | undefined {
  let node: unknown = document.contents;
  let offset: number | undefined;
  for (const key of keys) {
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find((item) => isPair(item) && String(item.key) === String(key));
      if (pair === undefined) break;
      offset = rangeStart(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(key)];
      offset = rangeStart(node) ?? offset;
    } else {
      break;
    }
  }
  return offset;
}

function rangeStart(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const received = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new WinnowError('ERR_CONFIG_FILE', `cannot read ${path}`, { received, cause });
  }
}
