import { availableParallelism, cpus, totalmem } from 'node:os';
import type { Command } from 'commander';
import { formatTable } from '../../eval/index.js';
import { backends, buildInfo } from '../../native/index.js';
import type { CommandContext } from '../context.js';
import { addEngineOptions, type EngineOptions, withSession } from '../options.js';
import { writeStdout } from '../output.js';

/** `winnow doctor`: what was found, and why each backend is or is not usable. Fails when the chosen device is not. */
export function registerDoctor(program: Command, _context: CommandContext): void {
  const command = program
    .command('doctor')
    .description('what this machine and this build can do')
    .addHelpText('after', '\nExits with an error when the backend of --device cannot be opened.');
  addEngineOptions(command).action(async (options: EngineOptions) => {
    const report = examine();
    await writeStdout(options.json ? `${JSON.stringify(report)}\n` : describe(report));
    // Opening is the only proof that a backend works.
    await withSession(options, async (session) => {
      if (options.json) return;
      const left = (session.availableBytes / 2 ** 30).toFixed(1);
      await writeStdout(
        `chosen: ${session.device} (${session.instructions}), ${session.threads} threads, ${left} GiB left for models\n`,
      );
    });
  });
}

function examine() {
  return {
    ...buildInfo(),
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    backends: backends(),
  };
}

function describe(report: ReturnType<typeof examine>): string {
  const gibibytes = (report.memoryBytes / 2 ** 30).toFixed(1);
  const lines = [
    `winnow ${report.version}, built with ${report.builder} and ${report.compiler}, Node-API ${report.napiVersion}`,
    `Node.js ${report.node} on ${report.platform}`,
    `${report.processor}, ${report.cores} cores, ${gibibytes} GiB`,
  ];
  const rows = report.backends.map(({ device, usable, detail }) => [device, usable ? 'usable' : 'not usable', detail]);
  const table = formatTable([{ title: 'backend' }, { title: 'state' }, { title: 'detail' }], rows);
  return `${lines.join('\n')}\n\n${table}`;
}
