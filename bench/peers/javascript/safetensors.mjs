// Reads the weights of a model folder a piece at a time, as 32-bit floats.
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

const BYTES = { F32: 4, BF16: 2 };

/** Every tensor in the folder's model*.safetensors: Map of name to {shape, read(start, count) -> Float32Array}. */
export function openTensors(folder) {
  const files = readdirSync(folder).filter((name) => /^model.*\.safetensors$/.test(name));
  if (files.length === 0) throw new Error(`no model*.safetensors in ${folder}`);
  const tensors = new Map();
  const handles = [];
  for (const file of files) {
    const handle = openSync(join(folder, file), 'r');
    handles.push(handle);
    const headerBytes = Number(readBytes(handle, 0, 8).readBigUInt64LE());
    const header = JSON.parse(readBytes(handle, 8, headerBytes).toString('utf8'));
    for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
      if (name === '__metadata__') continue;
      if (!BYTES[dtype]) throw new Error(`${file}: ${name} is ${dtype}; F32 and BF16 can be read`);
      const start = 8 + headerBytes + data_offsets[0];
      tensors.set(name, { shape, read: (first, count) => readFloats(handle, dtype, start, first, count) });
    }
  }
  return { tensors, close: () => handles.forEach(closeSync) };
}

function readBytes(handle, position, count) {
  const bytes = Buffer.alloc(count);
  if (readSync(handle, bytes, 0, count, position) !== count) throw new Error('a weight file is cut short');
  return bytes;
}

function readFloats(handle, dtype, start, first, count) {
  const size = BYTES[dtype];
  const bytes = readBytes(handle, start + first * size, count * size);
  if (dtype === 'F32') return new Float32Array(bytes.buffer, bytes.byteOffset, count);
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, count);
  const floats = new Uint32Array(count);
  for (let i = 0; i < count; i++) floats[i] = halves[i] << 16;
  return new Float32Array(floats.buffer);
}
