// The number formats of a GGUF file that a decoder is written in: f32, bf16, and blocks of 32 numbers with one scale.

/** `id`: the format's number in the file; `block`: numbers that go together; `encode(Float32Array) -> Uint8Array`. */
export const FORMATS = {
  f32: { id: 0, block: 1, bytesPerBlock: 4, encode: encodeF32 },
  bf16: { id: 30, block: 1, bytesPerBlock: 2, encode: encodeBf16 },
  q8_0: { id: 8, block: 32, bytesPerBlock: 34, encode: encodeQ8 },
  q4_0: { id: 2, block: 32, bytesPerBlock: 18, encode: encodeQ4 },
};

const BLOCK = 32;

function encodeF32(values) {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Upper halves of the floats, rounded to nearest, ties to even. */
function encodeBf16(values) {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) halves[i] = (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) >>> 16;
  return new Uint8Array(halves.buffer);
}

/** Block: an f16 scale d, then 32 signed bytes q; a number is d q, with d = the largest magnitude / 127. */
function encodeQ8(values) {
  const blocks = values.length / BLOCK;
  const bytes = new Uint8Array(blocks * 34);
  const view = new DataView(bytes.buffer);
  for (let b = 0; b < blocks; b++) {
    const scale = Math.abs(extreme(values, b * BLOCK)) / 127;
    const inverse = scale ? 1 / scale : 0;
    view.setUint16(b * 34, float16Bits(scale), true);
    for (let i = 0; i < BLOCK; i++) bytes[b * 34 + 2 + i] = Math.round(values[b * BLOCK + i] * inverse);
  }
  return bytes;
}

/**
 * Block: an f16 scale d, then 16 bytes that hold q of number i in the low half and of number i + 16 in the high half.
 * A number is d (q - 8) with q = 0..15; d = the number of largest magnitude / -8, so that this one is exact.
 */
function encodeQ4(values) {
  const blocks = values.length / BLOCK;
  const bytes = new Uint8Array(blocks * 18);
  const view = new DataView(bytes.buffer);
  for (let b = 0; b < blocks; b++) {
    const scale = extreme(values, b * BLOCK) / -8;
    const inverse = scale ? 1 / scale : 0;
    view.setUint16(b * 18, float16Bits(scale), true);
    for (let i = 0; i < BLOCK; i++) {
      const level = Math.min(15, Math.floor(values[b * BLOCK + i] * inverse + 8.5));
      bytes[b * 18 + 2 + (i % (BLOCK / 2))] |= i < BLOCK / 2 ? level : level << 4;
    }
  }
  return bytes;
}

/** The number of largest magnitude among the 32 from `start`, with its sign. */
function extreme(values, start) {
  let best = 0;
  for (let i = start; i < start + BLOCK; i++) if (Math.abs(values[i]) > Math.abs(best)) best = values[i];
  return best;
}

/** IEEE binary16 of a number, to nearest, ties to even; what is too large becomes infinite. */
export function float16Bits(value) {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  // Below 2^-14 numbers are multiples of 2^-24; above, of 2^(exponent - 10), whose count carries into the exponent.
  if (magnitude < 2 ** -14) return sign | roundEven(magnitude * 2 ** 24);
  const exponent = Math.floor(Math.log2(magnitude));
  return sign | (((exponent + 14) << 10) + roundEven(magnitude * 2 ** (10 - exponent)));
}

function roundEven(value) {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}
