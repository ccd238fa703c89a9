import { WinnowError } from '../errors.js';

/** What one model did on one query; undefined: the source does not say. */
export interface RoutingOutcome {
  /** Quality of the answer, higher is better, usually 0 to 1. */
  readonly effect: number | undefined;
  /** In the unit of the source, lower is better. */
  readonly cost: number | undefined;
}

export interface RoutingQuery {
  readonly id: string;
  /** The text of the query alone, without an objective, a list of models or any instruction. */
  readonly query: string;
  /** The set of questions that it comes from: costs are comparable within one. */
  readonly benchmark: string;
  /** By model name; a model that is not here has no outcome. */
  readonly outcomes: ReadonlyMap<string, RoutingOutcome>;
}

export interface RoutingTable {
  readonly format: 'graphrouter' | 'routerbench' | 'llmrouter';
  readonly files: readonly string[];
  /** In the order in which the source names them. */
  readonly models: readonly string[];
  /** What the source says of a model in words, price included, by model name. */
  readonly descriptions: ReadonlyMap<string, string>;
  readonly queries: readonly RoutingQuery[];
  /** Whether costs are scaled to 0 .. 1 within a benchmark already. */
  readonly costsAreScaled: boolean;
  /** Rows whose cells complete an earlier row of the same query, and rows of a query text that came before. */
  readonly mergedRows: number;
}

export function routingError(where: string, problem: string, expected: string, received: unknown): WinnowError {
  return new WinnowError('ERR_DATA_ROUTING', `${where} ${problem}`, {
    expected,
    received: (JSON.stringify(received) ?? 'nothing').slice(0, 80),
  });
}

/** A number of a cell; an empty one is undefined, anything that is not a finite number an error. */
export function cellNumber(value: unknown, where: string, field: string, least?: number): number | undefined {
  if (value === undefined || value === null || (typeof value === 'string' && value.trim() === '')) return undefined;
  const number = typeof value === 'string' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number)) {
    throw routingError(where, `has a ${field} that is no finite number`, 'a finite number or nothing', String(value));
  }
  if (least !== undefined && number < least) {
    throw routingError(where, `has a ${field} below ${least}`, `a number of at least ${least}`, number);
  }
  return number;
}

/** A field that must hold text. */
export function cellText(value: unknown, where: string, field: string): string {
  if (typeof value === 'string' && value.trim() !== '') return value;
  throw routingError(where, `has no ${field}`, `text in the field ${field}`, value);
}
