// Writes a GGUF file, version 3: header, metadata, what tensors there are, then their data, each at a multiple of 32 bytes.
import { closeSync, openSync, writeSync } from 'node:fs';

const ALIGNMENT = 32;
const TYPES = { uint32: 4, int32: 5, float32: 6, string: 8, array: 9 };

/**
 * `metadata`: [key, type, value] with type uint32, float32, string, or string[] and int32[].
 * `tensors`: {name, shape (slowest dimension first, as in safetensors), format (of FORMATS), pieces() -> Uint8Arrays}.
 */
export function writeGguf(path, metadata, tensors) {
  const file = openSync(path, 'w');
  const write = (bytes) => {
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
    return bytes.length;
  };
  let position = write(formatHead(metadata, tensors));
  for (const tensor of tensors) {
    let written = 0;
    for (const piece of tensor.pieces()) written += write(piece);
    if (written !== byteLength(tensor)) throw new Error(`${tensor.name}: ${written} bytes, not ${byteLength(tensor)}`);
    position += written + write(Buffer.alloc(padding(written)));
  }
  closeSync(file);
  return position;
}

function formatHead(metadata, tensors) {
  const parts = [Buffer.from('GGUF'), uint32(3), uint64(tensors.length), uint64(metadata.length)];
  for (const [key, type, value] of metadata) parts.push(text(key), typed(type, value));
  let offset = 0;
  for (const tensor of tensors) {
    const { name, shape, format } = tensor;
    parts.push(
      text(name),
      uint32(shape.length),
      ...[...shape].reverse().map(uint64),
      uint32(format.id),
      uint64(offset),
    );
    offset += byteLength(tensor) + padding(byteLength(tensor));
  }
  const head = Buffer.concat(parts);
  return Buffer.concat([head, Buffer.alloc(padding(head.length))]);
}

function byteLength({ shape, format }) {
  return (shape.reduce((product, size) => product * size, 1) / format.block) * format.bytesPerBlock;
}

const padding = (bytes) => (ALIGNMENT - (bytes % ALIGNMENT)) % ALIGNMENT;

function typed(type, value) {
  if (!type.endsWith('[]')) return Buffer.concat([uint32(TYPES[type]), scalar(type, value)]);
  const item = type.slice(0, -2);
  const items = value.map((v) => scalar(item, v));
  return Buffer.concat([uint32(TYPES.array), uint32(TYPES[item]), uint64(value.length), ...items]);
}

function scalar(type, value) {
  if (type === 'string') return text(value);
  const bytes = Buffer.alloc(4);
  if (type === 'float32') bytes.writeFloatLE(value);
  else if (type === 'int32') bytes.writeInt32LE(value);
  else bytes.writeUInt32LE(value);
  return bytes;
}

function text(value) {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([uint64(bytes.length), bytes]);
}

function uint32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function uint64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
