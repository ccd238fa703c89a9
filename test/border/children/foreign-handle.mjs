// A session of one copy of the addon, given to another copy in the same process.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const [one, other] = process.argv.slice(2).map((path) => require(path));
const session = one.openSession({ device: 'cpu', threads: 1 });
try {
  other.sessionInfo(session);
} catch (error) {
  console.log(error.code);
}
await one.closeSession(session);
