/** Encoding and decoding. With WINNOW_DATA, or ../shared/data beside the checkout, the Qwen2.5 tokenizer too. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { makeSyntheticTask } from '../../lib/tasks/synthetic.js';
import { buildWordTokenizer, Tokenizer } from '../../lib/text/index.js';
import { type MicroCase, runSuite } from './suite.js';

const task = makeSyntheticTask({ seed: 1, users: 50 });
const texts = task.train.map(
  (instance) => `${instance.context}\n${instance.candidates.map((candidate) => candidate.text).join('\n')}`,
);
const text = texts.slice(0, 20).join('\n\n');

function cases(name: string, tokenizer: Tokenizer): MicroCase[] {
  const tokens = tokenizer.encode(text);
  const work = { count: tokens.length, unit: 'tokens' };
  return [
    { name: `${name} encode`, work, run: () => tokenizer.encode(text) },
    { name: `${name} decode`, work, run: () => tokenizer.decode(tokens) },
  ];
}

const qwen = join(process.env.WINNOW_DATA ?? '../shared/data', 'tokenizer/qwen2.5-instruct');
if (!existsSync(qwen)) console.log(`skipped: no Qwen2.5 tokenizer at ${qwen}`);
runSuite('text', [
  ...cases('word tokenizer', buildWordTokenizer(texts)),
  ...(existsSync(qwen) ? cases('Qwen2.5', Tokenizer.fromFolder(qwen)) : []),
]);
