/** One step of the exclusion protocol: prompt, parse, reward. */
import { exclusionProtocol } from '../../lib/protocol/index.js';
import { makeSyntheticTask } from '../../lib/tasks/synthetic.js';
import type { Prompt, RankingInstance } from '../../lib/types.js';
import { runSuite } from './suite.js';

const protocol = exclusionProtocol({});
const instance = makeSyntheticTask({ seed: 1, users: 20 }).train[0] as RankingInstance;
const state = protocol.start(instance);
const prompt = protocol.prompts(state)[0] as Prompt;
const excluded = instance.candidates[1]?.id as string;
const completion = {
  text: protocol.completionText(prompt, ' because of the history', excluded),
  stop: 'stop_token',
} as const;
const answer = protocol.parse(prompt, completion);
if (!answer.ok) throw new Error(`the benchmark's completion is malformed: ${answer.reason}`);

const once = { count: 1, unit: 'calls' };
runSuite('protocol', [
  { name: 'prompts', work: once, run: () => protocol.prompts(state) },
  { name: 'parse', work: once, run: () => protocol.parse(prompt, completion) },
  { name: 'parse malformed', work: once, run: () => protocol.parse(prompt, { text: 'no tags here', stop: 'length' }) },
  { name: 'reward', work: once, run: () => protocol.reward(instance, prompt, answer) },
  { name: 'advance', work: once, run: () => protocol.advance(state, [answer]) },
]);
