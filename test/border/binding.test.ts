import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import type { WinnowError } from '../../lib/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'winnow-binding-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.unstubAllEnvs());

/** The loader, as a process would run it whose WINNOW_NATIVE names this file. */
async function loadWith(path: string, text?: string): Promise<WinnowError> {
  if (text !== undefined) writeFileSync(path, text);
  vi.stubEnv('WINNOW_NATIVE', path);
  vi.resetModules();
  const { loadAddon } = await import('../../lib/native/binding.js');
  try {
    loadAddon();
  } catch (error) {
    return error as WinnowError;
  }
  throw new Error('the addon was loaded');
}

describe('finding the addon', () => {
  it('names every path tried and the command that builds it', async () => {
    const path = join(folder, 'absent.node');
    const error = await loadWith(path);
    expect(error).toMatchObject({ name: 'WinnowError', code: 'ERR_NATIVE_NOT_FOUND' });
    expect(error.toLine()).toContain(path);
    expect(error.toLine()).toContain('npm run build');
  });

  it('refuses an addon of another version', async () => {
    const fake = 'module.exports = { buildInfo: () => ({ version: "0.0.0-other" }) };';
    const error = await loadWith(join(folder, 'fake.cjs'), fake);
    expect(error).toMatchObject({ code: 'ERR_NATIVE_VERSION', received: '0.0.0-other' });
    expect(error.hint).toContain('npm run build');
  });

  it('says what the loader said about a damaged file', async () => {
    const error = await loadWith(join(folder, 'damaged.node'), 'not a shared library');
    expect(error.code).toBe('ERR_NATIVE_LOAD');
    expect(error.received).toContain('damaged.node');
    expect(error.cause).toBeInstanceOf(Error);
  });

  it('is not done by importing the package', async () => {
    vi.stubEnv('WINNOW_NATIVE', join(folder, 'absent.node'));
    vi.resetModules();
    await expect(import('../../lib/native/index.js')).resolves.toHaveProperty('openSession');
  });
});
