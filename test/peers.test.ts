/** bench/peers: what can be tried without any peer: its one door, and the GGUF file that node-llama-cpp is given. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convert, ensureGguf, ggufName } from '../bench/peers/javascript/convert.mjs';
import { FORMATS, float16Bits } from '../bench/peers/javascript/quantize.mjs';

const peers = fileURLToPath(new URL('../bench/peers/', import.meta.url));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'winnow-peers-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('run', () => {
  // A copy without the ignored folder: a machine where no peer is installed.
  const run = (...words: string[]) => spawnSync(join(folder, 'bare/run'), words, { encoding: 'utf8', input: '{}' });
  beforeAll(() =>
    cpSync(peers, join(folder, 'bare'), { recursive: true, filter: (path) => !path.includes('.install') }),
  );

  it('lists nothing where nothing is installed', () => {
    expect(run('--list')).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  it.each(['transformers', 'trl', 'node-llama-cpp', 'onednn', 'openblas'])('says how to install %s', (peer) => {
    const { status, stderr } = run(peer, peer.startsWith('o') ? 'gemm' : 'prefill');
    expect(status).toBe(2);
    expect(stderr).toBe(`${peer} is not installed: run bench/peers/install ${peer}\n`);
  });

  it('tells work that a peer does not do from a wrong call', () => {
    expect(run('onednn', 'prefill').status).toBe(3);
    expect(run('nobody', 'prefill').status).toBe(2);
    expect(run().stderr).toContain('usage:');
  });
});

describe('numbers in blocks', () => {
  it('halves of known numbers', () => {
    const known: [number, number][] = [
      [0, 0],
      [-0, 0x8000],
      [1, 0x3c00],
      [-2, 0xc000],
      [1 / 3, 0x3555],
      [65504, 0x7bff],
      [65519.9, 0x7bff],
      [65520, 0x7c00],
      [2 ** -14, 0x0400],
      [2 ** -24, 0x0001],
      [2 ** -25, 0x0000],
      [3 * 2 ** -25, 0x0002],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      [2 - 2 ** -12, 0x4000],
    ];
    for (const [value, bits] of known) expect(float16Bits(value), String(value)).toBe(bits);
  });

  it('bf16 rounds to nearest, ties to even', () => {
    const bytes = FORMATS.bf16.encode(Float32Array.of(1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -Math.PI));
    expect([...new Uint16Array(bytes.buffer)]).toEqual([0x3f80, 0x3f80, 0x3f82, 0xc049]);
  });

  it('q8_0: a scale and 32 signed bytes', () => {
    const bytes = FORMATS.q8_0.encode(Float32Array.from({ length: 64 }, (_, i) => (i < 32 ? 4 * (i - 16) - 63 : 0)));
    const view = new DataView(bytes.buffer);
    expect(bytes).toHaveLength(68);
    expect(view.getUint16(0, true)).toBe(0x3c00); // the largest magnitude is 127, so the scale is 1
    expect([view.getInt8(2), view.getInt8(2 + 16), view.getInt8(2 + 31)]).toEqual([-127, -63, -3]);
    expect(bytes.subarray(34).every((byte) => byte === 0)).toBe(true);
  });

  it('q4_0: a signed scale and two numbers a byte, 16 apart', () => {
    const values = new Float32Array(32);
    values.set([-8, 7, 0.4, 0.6], 0);
    values.set([3], 16);
    const bytes = FORMATS.q4_0.encode(values);
    expect(bytes).toHaveLength(18);
    expect([...bytes.subarray(0, 6)]).toEqual([0x00, 0x3c, 0xb0, 0x8f, 0x88, 0x89]);
    // The largest is exact whatever its sign: 8 is level 0 at scale -1.
    expect([...FORMATS.q4_0.encode(values.map((v) => -v)).subarray(0, 4)]).toEqual([0x00, 0xbc, 0xb0, 0x8f]);
  });
});

describe('a model folder as a GGUF file', () => {
  const model = fileURLToPath(new URL('fixtures/models/qwen2-tied/', import.meta.url));

  it('holds every tensor at the place that it says', () => {
    const path = join(folder, 'model.gguf');
    convert(model, 'f32', path);
    const { metadata, tensors, bytes, dataStart } = parseGguf(readFileSync(path));
    const config = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8'));
    expect(metadata).toMatchObject({
      'general.architecture': 'qwen2',
      'qwen2.block_count': config.num_hidden_layers,
      'qwen2.attention.head_count_kv': config.num_key_value_heads,
    });
    expect(metadata['tokenizer.ggml.tokens']).toHaveLength(config.vocab_size);
    expect(dataStart % 32).toBe(0);
    const source = readSafetensors(join(model, 'model.safetensors'));
    expect(tensors.map(({ name }) => name).sort()).toEqual(Object.keys(source).map(ggufName).sort());
    for (const [name, { shape, data }] of Object.entries(source)) {
      const written = tensors.find((tensor) => tensor.name === ggufName(name));
      expect(written?.sizes).toEqual([...shape].reverse());
      expect((written?.offset ?? 1) % 32).toBe(0);
      const start = dataStart + (written?.offset ?? 0);
      expect(bytes.subarray(start, start + data.length).equals(data), name).toBe(true);
    }
  });

  it('leaves rows that are no whole blocks in bf16, and vectors in f32', () => {
    const path = join(folder, 'blocks.gguf');
    convert(model, 'q8_0', path); // rows of 40 and 72 numbers
    const formats = new Set(
      parseGguf(readFileSync(path)).tensors.map(({ sizes, format }) => `${sizes.length} ${format}`),
    );
    expect([...formats].sort()).toEqual([`1 ${FORMATS.f32.id}`, `2 ${FORMATS.bf16.id}`]);
  });

  it('is written once, and again when the model is newer; a failure leaves nothing', () => {
    const copy = join(folder, 'copy');
    cpSync(model, copy, { recursive: true });
    const path = ensureGguf(copy, 'bf16');
    const written = statSync(path).mtimeMs;
    expect(statSync(ensureGguf(copy, 'bf16')).mtimeMs).toBe(written);
    utimesSync(join(copy, 'config.json'), new Date(), new Date(Date.now() + 60_000));
    expect(statSync(ensureGguf(copy, 'bf16')).mtimeMs).not.toBe(written);
    writeFileSync(join(copy, 'model.safetensors'), readFileSync(join(copy, 'model.safetensors')).subarray(0, -4));
    expect(() => ensureGguf(copy, 'f32')).toThrow('cut short');
    expect(spawnSync('ls', [join(copy, 'peers')], { encoding: 'utf8' }).stdout).toBe('model-bf16.gguf\n');
  });
});

function readSafetensors(path: string): Record<string, { shape: number[]; data: Buffer }> {
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const header: Record<string, { shape: number[]; data_offsets: [number, number] }> = JSON.parse(
    bytes.toString('utf8', 8, start),
  );
  const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__');
  return Object.fromEntries(
    tensors.map(
      ([
        name,
        {
          shape,
          data_offsets: [from, to],
        },
      ]) => [name, { shape, data: bytes.subarray(start + from, start + to) }],
    ),
  );
}

/** Reads a file back by the published layout of GGUF version 3, as far as the writer uses it. */
function parseGguf(bytes: Buffer) {
  let at = 0;
  const take = (count: number) => {
    at += count;
    return bytes.subarray(at - count, at);
  };
  const uint32 = () => take(4).readUInt32LE();
  const uint64 = () => Number(take(8).readBigUInt64LE());
  const text = () => take(uint64()).toString('utf8');
  const value = (type: number): unknown => {
    if (type === 4) return uint32();
    if (type === 5) return take(4).readInt32LE();
    if (type === 6) return take(4).readFloatLE();
    if (type === 8) return text();
    expect(type).toBe(9);
    const item = uint32();
    return Array.from({ length: uint64() }, () => value(item));
  };
  expect(take(4).toString('latin1')).toBe('GGUF');
  expect(uint32()).toBe(3);
  const [tensorCount, entryCount] = [uint64(), uint64()];
  const metadata = Object.fromEntries(Array.from({ length: entryCount }, () => [text(), value(uint32())]));
  const tensors = Array.from({ length: tensorCount }, () => {
    const name = text();
    const sizes = Array.from({ length: uint32() }, uint64);
    return { name, sizes, format: uint32(), offset: uint64() };
  });
  return { metadata, tensors, bytes, dataStart: Math.ceil(at / 32) * 32 };
}
