import { join } from 'node:path';
import { WinnowError } from '../errors.js';
import { readCsv } from './csv.js';
import { GraphrouterQueries, graphrouterColumns, readModelDescriptions } from './graphrouter.js';
import { readJsonArray } from './json-array.js';
import { readJsonFile } from './json-file.js';
import { llmrouterQuery } from './llmrouter.js';
import { listFolder } from './reading.js';
import { addRouterbenchRow, routerbenchModels } from './routerbench.js';
import { type RoutingQuery, type RoutingTable, routingError } from './routing.js';

interface Found {
  readonly graphrouter: GraphrouterQueries;
  readonly routerbench: Map<string, RoutingQuery>;
  readonly llmrouter: Map<string, RoutingQuery>;
  readonly descriptions: Map<string, string>;
  readonly formats: Set<RoutingTable['format']>;
  mergedRows: number;
}

async function readCsvFile(path: string, found: Found): Promise<void> {
  for await (const row of readCsv(path)) {
    const columns = [...row.fields.keys()];
    if (graphrouterColumns.every((name) => columns.includes(name))) {
      found.formats.add('graphrouter');
      if (found.graphrouter.add(row, path)) found.mergedRows++;
    } else if (routerbenchModels(columns).length >= 2) {
      found.formats.add('routerbench');
      if (addRouterbenchRow(found.routerbench, row, path)) found.mergedRows++;
    } else {
      const expected = `${graphrouterColumns.join(', ')}; or sample_id, prompt, eval_name and MODEL, MODEL|total_cost`;
      throw routingError(`${path}:1`, 'has the columns of no routing table', expected, columns.slice(0, 6).join(', '));
    }
  }
}

async function readJson(path: string, found: Found): Promise<void> {
  const value = await readJsonFile(path, 'ERR_DATA_ROUTING');
  if (Array.isArray(value)) {
    found.formats.add('llmrouter');
    // Read a second time, for the lines on which the questions begin.
    for await (const { number, value: row } of readJsonArray(path)) {
      const where = `${path}:${number}`;
      const query = llmrouterQuery(row, where);
      if (found.llmrouter.has(query.id)) throw routingError(where, 'repeats a q_id', 'distinct ids', query.id);
      found.llmrouter.set(query.id, query);
    }
  } else if (typeof value === 'object' && value !== null) {
    const entries = Object.values(value) as readonly { readonly model?: unknown }[];
    // LLMRouter's tables name a model by the service's id, which its descriptions hold in `model`; GraphRouter's by the key.
    const service = entries.some((entry) => typeof (entry as { service?: unknown } | null)?.service === 'string');
    for (const [name, text] of readModelDescriptions(value, path, service)) found.descriptions.set(name, text);
  } else {
    throw routingError(path, 'is neither a list of questions nor descriptions of models', 'a list or an object', value);
  }
}

/**
 * Reads every .csv and .json file of a folder: GraphRouter's router_data.csv, RouterBench's wide tables or LLMRouter's questions,
 * one format a folder, beside descriptions of the models as JSON objects.
 *
 * @throws WinnowError ERR_DATA_SOURCE, ERR_DATA_ROUTING, ERR_DATA_CSV, with file, line and field
 */
export async function readRoutingFolder(folder: string): Promise<RoutingTable> {
  const files = (await listFolder(folder, 'a folder with routing tables')).filter((name) => /\.(csv|json)$/.test(name));
  const found: Found = {
    graphrouter: new GraphrouterQueries(),
    routerbench: new Map(),
    llmrouter: new Map(),
    descriptions: new Map(),
    formats: new Set(),
    mergedRows: 0,
  };
  for (const name of files) {
    await (name.endsWith('.csv') ? readCsvFile : readJson)(join(folder, name), found);
  }
  const [format] = found.formats;
  if (format === undefined || found.formats.size > 1) {
    throw new WinnowError('ERR_DATA_SOURCE', `${folder} does not hold one kind of routing table`, {
      expected: 'a GraphRouter csv, RouterBench csv files, or an LLMRouter json list',
      received: [...found.formats].join(', ') || files.join(', ') || 'no .csv or .json file',
    });
  }
  const queries = format === 'graphrouter' ? found.graphrouter.queries() : [...found[format].values()];
  return {
    format,
    files,
    models: [...new Set(queries.flatMap(({ outcomes }) => [...outcomes.keys()]))],
    descriptions: found.descriptions,
    queries,
    costsAreScaled: format === 'graphrouter',
    mergedRows: found.mergedRows,
  };
}
