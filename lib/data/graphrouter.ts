import type { CsvRow } from './csv.js';
import { cellNumber, cellText, type RoutingOutcome, type RoutingQuery, routingError } from './routing.js';

export const graphrouterColumns = ['task_id', 'query', 'llm', 'effect', 'cost'] as const;

interface Open {
  readonly query: string;
  readonly benchmark: string;
  readonly outcomes: Map<string, RoutingOutcome>;
}

/**
 * GraphRouter's router_data.csv (Feng et al., 2024): one row a query and model. `effect` is 0 to 1, `cost` is scaled to 0 .. 1
 * within a task_id. A model that comes again for one query begins the query anew: the source repeats a question.
 */
export class GraphrouterQueries {
  readonly #open: Open[] = [];
  readonly #latest = new Map<string, Open>();

  /** @returns whether the row began a query whose text came before */
  add(row: CsvRow, path: string): boolean {
    const where = `${path}:${row.line}`;
    const [benchmark, query, model] = (['task_id', 'query', 'llm'] as const).map((field) =>
      cellText(row.fields.get(field), where, field),
    ) as [string, string, string];
    const outcome = {
      effect: cellNumber(row.fields.get('effect'), where, 'effect'),
      cost: cellNumber(row.fields.get('cost'), where, 'cost', 0),
    };
    const key = `${benchmark}\n${query}`;
    const current = this.#latest.get(key);
    if (current && !current.outcomes.has(model)) {
      current.outcomes.set(model, outcome);
      return false;
    }
    const opened: Open = { query, benchmark, outcomes: new Map([[model, outcome]]) };
    this.#open.push(opened);
    this.#latest.set(key, opened);
    return current !== undefined;
  }

  queries(): RoutingQuery[] {
    return this.#open.map(({ query, benchmark, outcomes }, index) => ({
      id: `${benchmark}/${index}`,
      query,
      benchmark,
      outcomes,
    }));
  }
}

/** `{"MODEL": {"feature": TEXT, "input_price": DOLLARS, ...}}`: descriptions by the key, or by the field `model`. */
export function readModelDescriptions(value: object, path: string, byModelField: boolean): Map<string, string> {
  const descriptions = new Map<string, string>();
  for (const [key, entry] of Object.entries(value)) {
    const where = `${path} (${key})`;
    if (typeof entry !== 'object' || entry === null) {
      throw routingError(where, 'is no description of a model', 'an object with feature and input_price', entry);
    }
    const { feature, input_price, output_price, model } = entry as Readonly<Record<string, unknown>>;
    const input = cellNumber(input_price, where, 'input_price', 0);
    const output = cellNumber(output_price, where, 'output_price', 0) ?? input;
    const price = input === output ? `$${input}` : `$${input} in and $${output} out`;
    const words = typeof feature === 'string' ? feature.replace(/\s+/gu, ' ').trim() : '';
    const name = byModelField ? cellText(model, where, 'model') : key;
    descriptions.set(name, [input === undefined ? '' : `${price} per million tokens.`, words].join(' ').trim());
  }
  return descriptions;
}
