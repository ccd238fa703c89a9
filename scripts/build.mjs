// npm run build [-- --builder cmake|gyp]: the native addon, then lib/ -> dist/. Unchanged inputs cost nothing.
import { parseArgs } from 'node:util';
import { addonPath, buildAddon, hasCmake } from './tools/addon.mjs';
import { runMain, ToolError } from './tools/process.mjs';
import { withBuildLock } from './tools/stamp.mjs';
import { buildTypeScript } from './tools/typescript.mjs';

await runMain(async (args) => {
  const { values } = parseArgs({ args, options: { builder: { type: 'string' } } });
  if (values.builder !== undefined && !['cmake', 'gyp'].includes(values.builder))
    throw new ToolError(`--builder must be cmake or gyp, received ${values.builder}`);
  const builder = values.builder ?? (hasCmake() ? 'cmake' : 'gyp');
  if (values.builder === undefined && builder === 'gyp') console.error('note: cmake was not found; building with gyp');
  await withBuildLock(async () => {
    const native = await buildAddon(builder);
    const typescript = await buildTypeScript();
    console.error(
      `${addonPath[builder]} ${native ? 'built' : 'is up to date'}; dist ${typescript ? 'built' : 'is up to date'}`,
    );
  });
});
