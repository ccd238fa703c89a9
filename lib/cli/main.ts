/** What `winnow` starts: the command line with the real arguments, streams and signals. */
import { runCommandLine } from './program.js';

void runCommandLine(process.argv.slice(2));
