import type { CsvRow } from './csv.js';
import { parsePythonStrings } from './python-literal.js';
import { cellNumber, cellText, type RoutingOutcome, type RoutingQuery, routingError } from './routing.js';

const costSuffix = '|total_cost';

/** The models of RouterBench's wide layout: a column of score and one of `MODEL|total_cost` each. */
export function routerbenchModels(columns: readonly string[]): string[] {
  return columns.filter((name) => columns.includes(name + costSuffix));
}

/** A prompt is the repr of a list of texts, some of which hold the same text twice; what is no list is taken as it is. */
function promptText(cell: string): string {
  return [...new Set(parsePythonStrings(cell) ?? [cell])].join('\n\n');
}

function outcomesOf(row: CsvRow, models: readonly string[], where: string): Map<string, RoutingOutcome> {
  return new Map(
    models.map((model) => [
      model,
      {
        effect: cellNumber(row.fields.get(model), where, model),
        cost: cellNumber(row.fields.get(model + costSuffix), where, model + costSuffix, 0),
      },
    ]),
  );
}

/**
 * Fills the gaps of one row by another of the same sample; two different scores of a model are an error. Of two costs the smaller
 * counts: the published tables have samples whose prompt was sent twice in one request for some of the models, in a row apart.
 */
function merge(first: RoutingQuery, second: RoutingQuery, where: string): RoutingQuery {
  const mergeOutcome = (model: string): RoutingOutcome => {
    const [a, b] = [first.outcomes.get(model), second.outcomes.get(model)];
    if (a?.effect !== undefined && b?.effect !== undefined && a.effect !== b.effect) {
      throw routingError(
        where,
        `repeats sample_id ${first.id} with another score of ${model}`,
        String(a.effect),
        b.effect,
      );
    }
    const costs = [a?.cost, b?.cost].filter((cost) => cost !== undefined);
    return { effect: a?.effect ?? b?.effect, cost: costs.length === 0 ? undefined : Math.min(...costs) };
  };
  return { ...first, outcomes: new Map([...first.outcomes.keys()].map((model) => [model, mergeOutcome(model)])) };
}

/**
 * RouterBench (Hu et al., 2024): one row a query with `sample_id`, `prompt`, `eval_name`, and for every model a score and a cost,
 * some of them empty. Rows of one sample_id that complete each other are one query.
 *
 * @param byId the queries so far; rows are added
 * @returns whether the row completed an earlier one
 */
export function addRouterbenchRow(byId: Map<string, RoutingQuery>, row: CsvRow, path: string): boolean {
  const where = `${path}:${row.line}`;
  const id = cellText(row.fields.get('sample_id'), where, 'sample_id');
  const query: RoutingQuery = {
    id,
    query: promptText(cellText(row.fields.get('prompt'), where, 'prompt')),
    benchmark: cellText(row.fields.get('eval_name'), where, 'eval_name'),
    outcomes: outcomesOf(row, routerbenchModels([...row.fields.keys()]), where),
  };
  const earlier = byId.get(id);
  byId.set(id, earlier ? merge(earlier, query, where) : query);
  return earlier !== undefined;
}
