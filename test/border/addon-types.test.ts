import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { rawAddon, root } from './support.js';

/** Method names of `interface Addon`: lines that begin, two spaces in, with a name and a parenthesis. */
function declaredExports(source: string): string[] {
  const body = /export interface Addon \{\n([\s\S]*?)\n\}/.exec(source)?.[1] ?? '';
  return [...body.matchAll(/^ {2}(\w+)\(/gm)].map((match) => match[1] as string).sort();
}

describe('types of the addon', () => {
  const source = readFileSync(`${root}lib/native/addon-types.ts`, 'utf8');

  it('declare exactly what it exports', () => {
    const addon = rawAddon() as unknown as Record<string, unknown>;
    expect(declaredExports(source)).toEqual(Object.keys(addon).sort());
    for (const name of Object.keys(addon)) expect(typeof addon[name]).toBe('function');
  });

  it('would be found out if they declared more or less', () => {
    const less = source.replace('  buildInfo(): BuildInfo;\n', '');
    expect(less).not.toBe(source);
    expect(declaredExports(less)).not.toContain('buildInfo');
    expect(declaredExports(`${source}`.replace('  buildInfo()', '  other(): void;\n  buildInfo()'))).toContain('other');
  });
});
