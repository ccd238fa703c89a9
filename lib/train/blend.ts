/** The weighted mean of two weight files that the engine wrote for one model in f32. */
import { type FileHandle, open, rename } from 'node:fs/promises';
import { WinnowError } from '../errors.js';

/** A multiple of 4 bytes. */
const kChunkBytes = 1 << 22;

/**
 * Replaces `path` by share x path + (1 - share) x other, value by value in f32. Both are safetensors files with the same header;
 * throws ERR_INTERNAL otherwise.
 */
export async function blendWeights(path: string, other: string, share: number): Promise<void> {
  const temporary = `${path}.tmp`;
  const files = await Promise.all([open(path, 'r'), open(other, 'r'), open(temporary, 'w')]);
  try {
    const [own, others, blended] = files;
    const start = await commonHeader(own, others, path);
    await blended.write(start);
    for (let at = start.length; ; ) {
      const [a, b] = await Promise.all([chunk(own, at), chunk(others, at)]);
      if (a.length !== b.length) throw different(path, 'a file of another length');
      if (a.length === 0) break;
      await blended.write(mean(a, b, share), 0, a.length, at);
      at += a.length;
    }
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
  await rename(temporary, path);
}

/** Length, in 8 bytes, and JSON: names, formats, shapes and places. What follows it are the numbers. */
async function commonHeader(own: FileHandle, others: FileHandle, path: string): Promise<Buffer> {
  const [a, b] = await Promise.all([header(own), header(others)]);
  if (!a.equals(b)) throw different(path, 'another header');
  if (/"dtype"\s*:\s*"(?!F32")/.test(a.toString('utf8', 8))) throw different(path, 'another number format');
  return a;
}

async function header(file: FileHandle): Promise<Buffer> {
  const length = Buffer.alloc(8);
  await file.read(length, 0, 8, 0);
  const whole = Buffer.alloc(8 + Number(length.readBigUInt64LE()));
  await file.read(whole, 0, whole.length, 0);
  return whole;
}

async function chunk(file: FileHandle, position: number): Promise<Uint8Array> {
  const { bytesRead, buffer } = await file.read(new Uint8Array(kChunkBytes), 0, kChunkBytes, position);
  return buffer.subarray(0, bytesRead);
}

function mean(a: Uint8Array, b: Uint8Array, share: number): Uint8Array {
  const others = new Float32Array(b.buffer, 0, b.length / 4);
  const values = new Float32Array(a.buffer, 0, a.length / 4);
  for (let index = 0; index < values.length; index++) {
    values[index] = share * (values[index] as number) + (1 - share) * (others[index] as number);
  }
  return a;
}

function different(path: string, received: string): WinnowError {
  return new WinnowError('ERR_INTERNAL', `the weights of ${path} and of the reference cannot be blended`, {
    expected: 'two f32 files of one model',
    received,
  });
}
