import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { WinnowError } from '../../lib/errors.js';
import {
  checkpointName,
  newestCheckpoint,
  readTrainerState,
  removeLeftovers,
  settleCheckpoint,
  type TrainerState,
  writeCheckpoint,
  writeTrainerState,
} from '../../lib/train/checkpoint.js';
import { outputError, requireWritableFolder, writeFileAtomically } from '../../lib/train/output.js';

const state: TrainerState = {
  version: 1,
  configuration: '{}',
  step: 7,
  stage: 1,
  stageStep: 3,
  optimizerStep: 2,
  evaluatedStep: 4,
  dataCursor: 96,
  totals: { tokens: 1000, skippedSteps: 1, stepsWithoutSignal: 0 },
  journal: { metrics: 10, timing: 20, samples: 0, thoughts: 0 },
};

let root: string;
beforeEach(() => {
  root = join(mkdtempSync(join(tmpdir(), 'winnow-checkpoint-')), 'checkpoints');
});

const write = (step: number, keep = 3, content = `weights ${step}`, best: { best?: string } = {}) =>
  writeCheckpoint(root, checkpointName(step), { last: keep, ...best }, async (folder) => {
    writeFileSync(join(folder, 'model.safetensors'), content);
    writeTrainerState(folder, { ...state, step });
  });

const names = () => readdirSync(root).sort();

describe('writeCheckpoint', () => {
  it('writes a folder that reads back, and points latest at it', async () => {
    const written = await write(7);
    expect(newestCheckpoint(root)).toEqual(written);
    expect(readTrainerState(written)).toEqual(state);
    expect(readFileSync(join(root, 'latest'), 'utf8')).toBe('step-00000007\n');
  });

  it('keeps the last ones only', async () => {
    for (const step of [1, 2, 10, 100]) await write(step, 2);
    expect(names()).toEqual(['latest', 'step-00000010', 'step-00000100']);
    expect(newestCheckpoint(root)?.name).toBe('step-00000100');
  });

  it('keeps the best one besides the last ones, and lets go of it when another is better', async () => {
    const best = (step: number) => ({ best: checkpointName(step) });
    await write(1, 2, 'a', best(1));
    for (const step of [2, 3, 4]) await write(step, 2, 'b', best(1));
    expect(names()).toEqual(['best', 'latest', 'step-00000001', 'step-00000003', 'step-00000004']);
    expect(readFileSync(join(root, 'best'), 'utf8')).toBe('step-00000001\n');
    await write(5, 2, 'c', best(5));
    expect(names()).toEqual(['best', 'latest', 'step-00000004', 'step-00000005']);
    expect(readFileSync(join(root, 'best'), 'utf8')).toBe('step-00000005\n');
    // One that is not there any more is not pointed at.
    await write(6, 1, 'd', best(2));
    expect(readFileSync(join(root, 'best'), 'utf8')).toBe('step-00000005\n');
  });

  it('leaves nothing behind and nothing changed when writing fails', async () => {
    await write(1);
    const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    const failing = writeCheckpoint(root, checkpointName(2), { last: 3 }, async (folder) => {
      writeFileSync(join(folder, 'model.safetensors'), 'half');
      throw full;
    });
    await expect(failing).rejects.toMatchObject({ code: 'ERR_OUTPUT_FULL', cause: full });
    expect(names()).toEqual(['latest', 'step-00000001']);
    expect(newestCheckpoint(root)?.name).toBe('step-00000001');
  });

  it('does not touch a checkpoint of that name that is there', async () => {
    await write(1);
    await write(1, 3, 'other weights');
    expect(readFileSync(join(root, checkpointName(1), 'model.safetensors'), 'utf8')).toBe('weights 1');
  });
});

describe('newestCheckpoint', () => {
  it('is undefined where there is none', () => {
    expect(newestCheckpoint(root)).toBeUndefined();
    mkdirSync(root);
    expect(newestCheckpoint(root)).toBeUndefined();
  });

  it('skips a newer one with a short, missing or unlisted state', async () => {
    await write(1);
    const short = await write(2);
    truncateSync(join(short.path, 'model.safetensors'), 3);
    const missing = await write(3);
    rmSync(join(missing.path, 'model.safetensors'));
    mkdirSync(join(root, checkpointName(4)));
    const torn = await write(5);
    writeFileSync(join(torn.path, 'trainer_state', 'manifest.json'), '{"model.safe');
    expect(newestCheckpoint(root)?.name).toBe('step-00000001');
  });

  it('never reads what a kill left half-written, and removeLeftovers clears it', async () => {
    await write(1);
    mkdirSync(join(root, '.writing-step-00000009-123', 'trainer_state'), { recursive: true });
    mkdirSync(join(root, '.deleting-step-00000000'));
    mkdirSync(join(root, '.writing-stage-1-77'));
    writeFileSync(join(root, '.latest.4711.tmp'), 'half');
    writeFileSync(join(root, '.probe-4711'), 'x');
    writeFileSync(join(root, '.kept'), 'of somebody else');
    expect(newestCheckpoint(root)?.name).toBe('step-00000001');
    removeLeftovers(root);
    expect(names()).toEqual(['.kept', 'latest', 'step-00000001']);
  });

  it('finishes what a kill after the rename left undone: pointers, and the deletion of old ones', async () => {
    for (const step of [1, 2, 3, 4]) await write(step, 4);
    writeFileSync(join(root, 'latest'), 'step-00000003\n');
    settleCheckpoint(root, checkpointName(4), { last: 1, best: checkpointName(2) });
    expect(names()).toEqual(['best', 'latest', 'step-00000002', 'step-00000004']);
    expect(readFileSync(join(root, 'latest'), 'utf8')).toBe('step-00000004\n');
    expect(readFileSync(join(root, 'best'), 'utf8')).toBe('step-00000002\n');
  });

  it('trusts what it verified, not the name in latest', async () => {
    await write(1);
    await write(2);
    writeFileSync(join(root, 'latest'), 'step-00000001\n');
    expect(newestCheckpoint(root)?.name).toBe('step-00000002');
  });
});

describe('readTrainerState', () => {
  it('refuses a state of another version or shape', async () => {
    const checkpoint = await write(1);
    const path = join(checkpoint.path, 'trainer_state', 'state.json');
    for (const text of ['{', JSON.stringify({ ...state, version: 2 }), JSON.stringify({ ...state, step: -1 })]) {
      writeFileSync(path, text);
      expect(() => readTrainerState(checkpoint)).toThrowError(expect.objectContaining({ code: 'ERR_CHECKPOINT' }));
    }
  });
});

describe('output', () => {
  it('replaces a file as a whole and leaves no other', () => {
    mkdirSync(root);
    const path = join(root, 'x');
    writeFileAtomically(path, 'one');
    writeFileAtomically(path, 'two');
    expect(readFileSync(path, 'utf8')).toBe('two');
    expect(names()).toEqual(['x']);
  });

  it('keeps the old file when the new one cannot be written', () => {
    mkdirSync(join(root, 'x'), { recursive: true });
    writeFileSync(join(root, 'x', 'inside'), '');
    expect(() => writeFileAtomically(join(root, 'x'), 'two')).toThrowError(
      expect.objectContaining({ code: 'ERR_OUTPUT' }),
    );
    expect(names()).toEqual(['x']);
  });

  it('gives each failure of the disk one code', () => {
    const code = (errno: string) =>
      (outputError('/x', Object.assign(new Error(), { code: errno })) as { code: string }).code;
    expect(['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'EIO'].map(code)).toEqual([
      ...['ERR_OUTPUT_FULL', 'ERR_OUTPUT_FULL', 'ERR_OUTPUT_READ_ONLY', 'ERR_OUTPUT_READ_ONLY', 'ERR_OUTPUT_READ_ONLY'],
      'ERR_OUTPUT',
    ]);
    const native = (received: string) => new WinnowError('ERR_FILE_WRITE', 'cannot write x', { received });
    expect(outputError('/x', native('No space left on device'))).toMatchObject({ code: 'ERR_OUTPUT_FULL' });
    expect(outputError('/x', native('EROFS (read-only)'))).toMatchObject({ code: 'ERR_OUTPUT_READ_ONLY' });
    expect(outputError('/x', native('Input/output error'))).toMatchObject({ code: 'ERR_OUTPUT' });
    const defect = new TypeError('x');
    expect(outputError('/x', defect)).toBe(defect);
  });

  it('finds out before a run begins that the folder cannot be written', () => {
    mkdirSync(root);
    writeFileSync(join(root, 'file'), '');
    expect(() => requireWritableFolder(join(root, 'file', 'run'))).toThrowError(
      expect.objectContaining({ code: 'ERR_OUTPUT' }),
    );
    requireWritableFolder(join(root, 'new', 'run'));
    expect(existsSync(join(root, 'new', 'run'))).toBe(true);
  });
});
