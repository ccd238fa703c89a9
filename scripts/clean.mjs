// npm run clean: removes what the builds made.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './tools/process.mjs';

for (const folder of ['build', 'dist']) rmSync(join(root, folder), { recursive: true, force: true });
