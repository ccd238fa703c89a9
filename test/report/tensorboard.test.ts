/** Event files, read back by a parser that shares nothing with the writer: zlib's checksum is no help, so CRC-32C goes bit by bit. */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TensorBoardWriter } from '../../lib/report/tensorboard.js';
import { crc32c, encodeEvent, frameRecord } from '../../lib/report/tf-events.js';
import type { TrainEvent } from '../../lib/train/events.js';

/** Polynomial division over GF(2), most significant bit first, on bit-reversed bytes: no table, no reflected form. */
function slowCrc32c(data: Uint8Array): number {
  const bits = [...data].flatMap((byte) => Array.from({ length: 8 }, (_, bit) => (byte >> bit) & 1));
  let register = 0xffffffffn;
  for (const bit of bits) {
    const top = ((register >> 31n) & 1n) ^ BigInt(bit);
    register = ((register << 1n) & 0xffffffffn) ^ (top ? 0x1edc6f41n : 0n);
  }
  const reversed = [...(register ^ 0xffffffffn).toString(2).padStart(32, '0')].reverse().join('');
  return Number(BigInt(`0b${reversed}`));
}

const masked = (data: Uint8Array) => {
  const crc = BigInt(slowCrc32c(data));
  return Number((((crc >> 15n) | ((crc << 17n) & 0xffffffffn)) + 0xa282ead8n) % 2n ** 32n);
};

function records(file: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(file.readUInt32LE(at + 8)).toBe(masked(file.subarray(at, at + 8)));
    expect(file.readUInt32LE(at + 12 + length)).toBe(masked(data));
    found.push(data);
    at += 16 + length;
  }
  return found;
}

type Field = number | bigint | Buffer;

/** Any message: its fields in order, by number. */
function fields(data: Buffer): [field: number, value: Field][] {
  const found: [number, Field][] = [];
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = BigInt(data[at++] as number);
      value |= (byte & 127n) << shift;
      if (byte < 128n) return value;
    }
  };
  const take = (count: number) => {
    at += count;
    return data.subarray(at - count, at);
  };
  while (at < data.length) {
    const key = Number(varint());
    const wire = key % 8;
    if (wire === 0) found.push([key >> 3, varint()]);
    else if (wire === 1) found.push([key >> 3, take(8).readDoubleLE()]);
    else if (wire === 5) found.push([key >> 3, take(4).readFloatLE()]);
    else found.push([key >> 3, take(Number(varint()))]);
  }
  return found;
}

function readEvents(path: string) {
  return records(readFileSync(path)).map((record) => {
    const event = new Map(fields(record));
    const scalars = fields((event.get(5) as Buffer | undefined) ?? Buffer.alloc(0)).map(([, value]) => {
      const parts = new Map(fields(value as Buffer));
      return [String(parts.get(1)), parts.get(2) as number] as const;
    });
    const session = event.get(7) as Buffer | undefined;
    return {
      wallTime: event.get(1),
      step: Number(event.get(2) ?? 0),
      version: event.get(3) === undefined ? undefined : String(event.get(3)),
      start: session !== undefined && new Map(fields(session)).get(1) === 1n,
      scalars: Object.fromEntries(scalars),
    };
  });
}

const start = (output: string, step: number): TrainEvent => ({
  ...{ type: 'start', output, step, steps: 9, device: 'cpu', parameters: 1, trainedParameters: 1 },
});

const stepEvent = (step: number, metrics: Record<string, number>): TrainEvent => ({
  ...{ type: 'step', steps: 9, stageSteps: 9, samples: [] },
  record: { type: 'step', step, stage: 's', kind: 'grpo', stage_step: step, metrics },
  timing: { step, seconds: { generate: 0.25, total: 1 }, rates: { 'perf/throughput': 300 } },
});

const folder = () => mkdtempSync(join(tmpdir(), 'winnow-tensorboard-'));

describe('crc32c', () => {
  it('gives the check values of RFC 3720, B.4, and of the CRC catalogue', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
    expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
    expect(crc32c(Buffer.alloc(0))).toBe(0);
    expect(slowCrc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  });
});

describe('TensorBoardWriter', () => {
  it('writes what a parser reads back: version, start of session, steps with their scalars', () => {
    const output = folder();
    const writer = new TensorBoardWriter(() => 1_700_000_000_250);
    writer.on(start(output, 0));
    writer.on(stepEvent(1, { reward: 0.25, 'malformed/no_answer': 0, kl: -1e-8, lost: Number.NaN }));
    writer.on(stepEvent(300, { reward: -3 }));
    writer.on({
      type: 'evaluation',
      record: {
        ...{ type: 'evaluation', step: 300, label: 'x', kind: 'progress', instances: 2, perInstance: {} },
        measures: { mrr: { mean: 0.5, low: 0, high: 1 } },
        tasks: { 'Rec-Movie': { instances: 1, means: { mrr: 0.75 } } },
      },
    });
    writer.close();
    const [name] = readdirSync(join(output, 'tensorboard'));
    expect(name).toBe('events.out.tfevents.1700000000.winnow');
    const [version, session, first, second, evaluation, ...rest] = readEvents(
      join(output, 'tensorboard', name as string),
    );
    expect(rest).toEqual([]);
    expect(version).toMatchObject({ version: 'brain.Event:2', wallTime: 1_700_000_000.25, scalars: {} });
    expect(session).toMatchObject({ start: true, step: 1 });
    const timing = { 'timing_s/generate': 0.25, 'timing_s/total': 1, 'perf/throughput': 300 };
    const kl = Math.fround(-1e-8);
    expect(first).toMatchObject({ step: 1, scalars: { reward: 0.25, 'malformed/no_answer': 0, kl, ...timing } });
    expect(first?.scalars).not.toHaveProperty('lost');
    expect(second).toMatchObject({ step: 300, scalars: { reward: -3 } });
    expect(evaluation).toMatchObject({ step: 300, scalars: { 'eval/mrr': 0.5, 'eval/Rec-Movie/mrr': 0.75 } });
  });

  it('begins a new file for a resumed run, later in the order of names, and voids the steps it does again', () => {
    const output = folder();
    for (const step of [0, 4]) {
      const writer = new TensorBoardWriter(() => 5_000);
      writer.on(start(output, step));
      writer.on(stepEvent(step + 1, { reward: step }));
      writer.close();
    }
    const names = readdirSync(join(output, 'tensorboard')).sort();
    expect(names).toEqual(['events.out.tfevents.0000000005.winnow', 'events.out.tfevents.0000000006.winnow']);
    const [, session, again] = readEvents(join(output, 'tensorboard', names[1] as string));
    expect(session).toMatchObject({ start: true, step: 5 });
    expect(again).toMatchObject({ step: 5, scalars: { reward: 4 } });
  });

  it('has every event on the disk before it is closed', () => {
    const output = folder();
    const writer = new TensorBoardWriter(() => 1000);
    writer.on(start(output, 0));
    writer.on(stepEvent(1, { reward: 1 }));
    const [name] = readdirSync(join(output, 'tensorboard'));
    expect(readEvents(join(output, 'tensorboard', name as string))).toHaveLength(3);
    writer.close();
    writer.on(stepEvent(2, { reward: 1 }));
    expect(readEvents(join(output, 'tensorboard', name as string))).toHaveLength(3);
  });

  it('frames an empty record, and steps beyond 32 bits', () => {
    expect(records(frameRecord(Buffer.alloc(0)))).toEqual([Buffer.alloc(0)]);
    const event = new Map(fields(encodeEvent({ wallTime: 0, step: 2 ** 40 + 3, scalars: {} })));
    expect(event.get(2)).toBe(2n ** 40n + 3n);
  });

  it('names the folder that cannot be written', () => {
    const writer = new TensorBoardWriter();
    expect(() => writer.on(start('/dev/null/run', 0))).toThrowError(expect.objectContaining({ code: 'ERR_OUTPUT' }));
  });
});
