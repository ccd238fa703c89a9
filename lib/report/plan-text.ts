/** A plan of a run as text. */
import type { RunPlan, StageMemory, StagePlan } from '../train/plan.js';
import { formatCount, formatDuration, formatNumber } from './format.js';

/** `memoryBytes`: what the machine has, to compare with. */
export function planText(plan: RunPlan, memoryBytes: number): string {
  const { parameters, trainedParameters, dtype, maxPositions, trainInstances, testInstances, stages, speed } = plan;
  const trained = trainedParameters === parameters ? '' : ` and an adapter of ${formatCount(trainedParameters)}`;
  const seconds = stages.reduce((sum, stage) => sum + (stage.flops / speed) * stage.steps, 0);
  return [
    `model: ${formatCount(parameters)} parameters${trained}, ${dtype}, ${formatCount(maxPositions)} positions`,
    `data: ${formatCount(trainInstances)} training instances, ${formatCount(testInstances)} test instances`,
    ...stages.map((stage) => stageText(stage, plan, memoryBytes)),
    `\ntime: ${formatDuration(seconds)} for all stages, by the ${formatNumber(speed / 1e9)} GFLOP/s that a short probe reached.`,
    'An orientation: shorter completions take less; sampling token by token, attention and evaluations take more.',
    'Nothing was written.\n',
  ].join('\n');
}

function stageText(stage: StagePlan, { speed, maxPositions }: RunPlan, memoryBytes: number): string {
  const { name, kind, steps, promptTokens, completionTokens, exact, longestSequence, memory, flops, prompts } = stage;
  const total = Object.values(memory).reduce((sum: number, bytes: number) => sum + bytes, 0);
  const most = exact ? '' : 'at most ';
  const lines = [
    `\nstage ${name} (${kind}): ${formatCount(steps)} steps`,
    `  tokens a step: ${formatCount(promptTokens)} of prompts, ${most}${formatCount(completionTokens)} of completions`,
    `  longest sequence seen: ${most}${formatCount(longestSequence)} tokens`,
    `  memory: ${gibibytes(total)} of ${gibibytes(memoryBytes)}: ${memoryText(memory)}`,
    `  time: ${exact ? '' : 'with the longest completions '}${formatDuration(flops / speed)} a step`,
  ];
  if (total > memoryBytes) lines.push('  TOO LARGE: this machine does not have the memory');
  if (longestSequence > maxPositions) {
    lines.push(
      `  TOO LONG: the model has ${formatCount(maxPositions)} positions; completions would be cut by the context`,
    );
  }
  for (const prompt of prompts) lines.push('  first prompt:', ...prompt.split('\n').map((line) => `  | ${line}`));
  return lines.join('\n');
}

function memoryText(memory: StageMemory): string {
  const parts = Object.entries(memory).filter(([, bytes]) => bytes > 0);
  return parts.map(([name, bytes]) => `${name} ${name === 'sampling' ? 'at most ' : ''}${gibibytes(bytes)}`).join(', ');
}

function gibibytes(bytes: number): string {
  return bytes < 2 ** 30 ? `${formatNumber(bytes / 2 ** 20)} MiB` : `${formatNumber(bytes / 2 ** 30)} GiB`;
}
