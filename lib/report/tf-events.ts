/**
 * TensorBoard's event files, written by hand. A file is a sequence of TFRecords, each
 *
 *   length (u64 LE) | masked CRC32C of the length (u32 LE) | data | masked CRC32C of the data (u32 LE)
 *
 * whose data is one `Event` message of Protocol Buffers (tensorflow/core/util/event.proto, framework/summary.proto):
 *
 *   Event:       wall_time = 1 (double), step = 2 (int64), file_version = 3 (string), summary = 5, session_log = 7
 *   Summary:     value = 1 (repeated);  Value: tag = 1 (string), simple_value = 2 (float)
 *   SessionLog:  status = 1 (enum, START = 1)
 */

/** What one event says. `wallTime` in seconds since 1970. */
export type TensorBoardEvent =
  | { readonly wallTime: number; readonly fileVersion: 'brain.Event:2' }
  /** A process begins to write steps from `step` on: the reader forgets what an earlier one wrote for them. */
  | { readonly wallTime: number; readonly step: number; readonly sessionStart: true }
  | { readonly wallTime: number; readonly step: number; readonly scalars: Readonly<Record<string, number>> };

export function encodeEvent(event: TensorBoardEvent): Buffer {
  const parts = [doubleField(1, event.wallTime)];
  if ('step' in event) parts.push(intField(2, event.step));
  if ('fileVersion' in event) parts.push(bytesField(3, Buffer.from(event.fileVersion)));
  if ('scalars' in event) {
    const values = Object.entries(event.scalars).map(([tag, value]) =>
      bytesField(1, Buffer.concat([bytesField(1, Buffer.from(tag)), floatField(2, value)])),
    );
    parts.push(bytesField(5, Buffer.concat(values)));
  }
  if ('sessionStart' in event) parts.push(bytesField(7, intField(1, 1)));
  return Buffer.concat(parts);
}

/** One record of a TFRecord file. */
export function frameRecord(data: Uint8Array): Buffer {
  const record = Buffer.alloc(data.length + 16);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedCrc(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc(data), 12 + data.length);
  return record;
}

/** CRC-32C (Castagnoli; RFC 3720, B.4), rotated and offset so that a checksum of data with checksums inside stays strong. */
function maskedCrc(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

const kCrcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (kCrcTable[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Field number and wire type: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes. */
function key(field: number, wire: 0 | 1 | 2 | 5): Buffer {
  return varint(field * 8 + wire);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let left = BigInt(value); ; left >>= 7n) {
    if (left < 128n) return Buffer.from([...bytes, Number(left)]);
    bytes.push(Number(left & 127n) | 128);
  }
}

function intField(field: number, value: number): Buffer {
  return Buffer.concat([key(field, 0), varint(value)]);
}

function doubleField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([key(field, 1), bytes]);
}

function floatField(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([key(field, 5), bytes]);
}

function bytesField(field: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([key(field, 2), varint(bytes.length), bytes]);
}
