// The peer in Node.js: `main.mjs --list`, or `main.mjs PEER BENCHMARK` with a request on stdin.
import { measureDecode } from './decode.mjs';
import { measureExclusion } from './exclusion.mjs';
import { llamaVersion } from './llama.mjs';
import { measurePrefill } from './prefill.mjs';
import { FORMATS } from './quantize.mjs';
import { EXIT_NOT_DONE, NotDone, readRequest, reply } from './request.mjs';

const BENCHMARKS = { prefill: measurePrefill, decode: measureDecode, exclusion: measureExclusion };

const versions = () => ({ 'node-llama-cpp': llamaVersion(), node: process.versions.node });

async function main([peer, benchmark]) {
  if (peer === '--list') {
    for (const name of Object.keys(BENCHMARKS))
      console.log(
        JSON.stringify({ peer: 'node-llama-cpp', benchmark: name, dtypes: Object.keys(FORMATS), versions: versions() }),
      );
    return 0;
  }
  try {
    const measure = BENCHMARKS[benchmark];
    if (!measure) throw new NotDone(`${peer} does not do ${benchmark}: it does ${Object.keys(BENCHMARKS).join(', ')}`);
    reply({ ...(await measure(readRequest())), versions: versions() });
    return 0;
  } catch (error) {
    if (!(error instanceof NotDone)) throw error;
    console.error(error.message);
    return EXIT_NOT_DONE;
  }
}

main(process.argv.slice(2)).then((status) => process.exit(status));
