import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fixtureModels } from '../golden/support.js';
import { errorCode, makeFolder, removeFolder, winnow, writeLines } from './support.js';

const folder = makeFolder();
const model = join(fixtureModels, 'qwen2-tied'); // vocabulary 101, 256 positions, no tokenizer
afterAll(() => removeFolder(folder));

describe('wrong usage is one line, exit code 2, with a hint', () => {
  test.each([
    [['scroe'], /did you mean score/],
    [['score', '--modle', 'x'], /did you mean --model/],
    [['score', '--model', model], /--input/],
    [['score', '--model', model, '--input', 'x', '--output', 'y', '--dtype', 'f64'], /f32, bf16/],
    [['doctor', '--threads', '-1'], /at least 0/],
    [['doctor', '--device', 'gpu'], /auto, cpu, reference or cuda/],
    [['generate', '--model', model, '--input', 'x', '--output', 'y', '--top-p', '1.5'], /from 0 to 1/],
    [['generate', '--model', model, '--input', 'x', '--output', 'y', '--max-tokens', '1.5'], /integer/],
    [['bench', 'sorting'], /peak, gemm/],
    [['data', 'bild'], /did you mean build/],
  ])('winnow %j', (args, text) => {
    const outcome = winnow(args);
    expect(errorCode(outcome)).toBe('ERR_USAGE');
    expect(outcome.stderr).toMatch(text);
    expect(outcome).toMatchObject({ status: 2, stdout: '' });
  });
});

test('help and version are no errors', () => {
  expect(winnow(['--help'])).toMatchObject({ status: 0, stderr: '' });
  expect(winnow(['score', '--help']).stdout).toContain('--model');
  expect(winnow(['--version']).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

describe('a bad line of the input', () => {
  const good = { tokens: [1, 2, 3] };
  const long = { tokens: Array.from({ length: 300 }, () => 1) };
  test.each([
    ['score', 'no JSON', '{"tokens": [1, 2', 'ERR_DATA_JSONL'],
    ['score', 'no object', '17', 'ERR_DATA_JSONL'],
    ['score', 'no known field', '{"token": [1]}', 'ERR_DATA_JSONL'],
    ['score', 'two fields', '{"tokens": [1], "text": "a"}', 'ERR_DATA_JSONL'],
    ['score', 'no token ids', '{"tokens": [1, 2.5]}', 'ERR_DATA_JSONL'],
    ['score', 'a token beyond the vocabulary', '{"tokens": [1, 101]}', 'ERR_TOKEN_RANGE'],
    ['score', 'a negative token', '{"tokens": [-1]}', 'ERR_TOKEN_RANGE'],
    ['score', 'no tokens', '{"tokens": []}', 'ERR_PROMPT_EMPTY'],
    ['score', 'more than the context', JSON.stringify(long), 'ERR_CONTEXT_LENGTH'],
    ['score', 'text without a tokenizer', '{"text": "a"}', 'ERR_TOKENIZER_MISSING'],
    ['generate', 'a full context', JSON.stringify({ tokens: long.tokens.slice(0, 256) }), 'ERR_CONTEXT_LENGTH'],
    ['generate', 'no tokens', '{"tokens": []}', 'ERR_PROMPT_EMPTY'],
    ['generate', 'wrong messages', '{"messages": [{"role": "judge", "content": ""}]}', 'ERR_TOKENIZER_MISSING'],
  ])('%s: %s', (command, _, line, code) => {
    const input = join(folder, 'bad.jsonl');
    writeFileSync(input, `${JSON.stringify(good)}\n\n${line}\n${JSON.stringify(good)}\n`);
    const output = join(folder, 'bad-output.jsonl');
    const outcome = winnow([command, '--model', model, '--input', input, '--output', output]);
    expect(errorCode(outcome)).toBe(code);
    if (code !== 'ERR_TOKENIZER_MISSING') expect(outcome.stderr).toContain(`${input}:3`);
    expect(outcome.status).toBe(1);
    expect(readdirSync(folder).filter((name) => name.includes('bad-output'))).toEqual([]);
  });
});

describe('files', () => {
  let input = '';
  beforeAll(() => {
    input = writeLines(join(folder, 'good.jsonl'), [{ tokens: [1, 2, 3] }]);
  });
  const score = (...args: string[]) => winnow(['score', '--input', input, ...args]);

  test('a missing model', () => {
    const outcome = score('--model', join(folder, 'nowhere'), '--output', '-');
    expect(errorCode(outcome)).toMatch(/^ERR_(MODEL|FILE)_/);
    expect(outcome.status).toBe(1);
  });

  test('a truncated weight file', () => {
    const broken = join(folder, 'broken');
    mkdirSync(broken);
    writeFileSync(join(broken, 'config.json'), readFileSync(join(model, 'config.json')));
    writeFileSync(join(broken, 'model.safetensors'), readFileSync(join(model, 'model.safetensors')).subarray(0, 9999));
    expect(errorCode(score('--model', broken, '--output', '-'))).toBe('ERR_FILE_FORMAT');
  });

  test('a missing input', () => {
    const outcome = winnow(['score', '--model', model, '--input', join(folder, 'none.jsonl'), '--output', '-']);
    expect(errorCode(outcome)).toBe('ERR_DATA_JSONL');
    expect(outcome.stderr).toContain('ENOENT');
  });

  test('an output that cannot be written', () => {
    writeFileSync(join(folder, 'plain'), '');
    const outcome = score('--model', model, '--output', join(folder, 'plain', 'under', 'out.jsonl'));
    expect(errorCode(outcome)).toBe('ERR_FILE_WRITE');
    expect(outcome.status).toBe(1);
  });

  test('an error leaves an earlier output as it was', () => {
    const output = join(folder, 'kept.jsonl');
    writeFileSync(output, 'earlier\n');
    const bad = writeLines(join(folder, 'bad2.jsonl'), [{ tokens: [1] }, { tokens: [999] }]);
    expect(winnow(['score', '--model', model, '--input', bad, '--output', output]).status).toBe(1);
    expect(readFileSync(output, 'utf8')).toBe('earlier\n');
  });

  test('CUDA in a build without it says so', () => {
    const outcome = score('--model', model, '--output', '-', '--device', 'cuda');
    expect(errorCode(outcome)).toMatch(/^ERR_CUDA/);
  });
});
