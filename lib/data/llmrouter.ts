import { cellNumber, cellText, type RoutingOutcome, type RoutingQuery, routingError } from './routing.js';

type Row = Readonly<Record<string, unknown>>;

function listOf(row: Row, field: string, where: string): readonly unknown[] {
  const value = row[field];
  if (!Array.isArray(value) || value.length === 0) {
    throw routingError(where, `has no ${field}`, 'a list that is not empty', value);
  }
  return value;
}

/**
 * LLMRouter: a JSON list of questions, each with `query`, `llm_name_list` and, aligned with it, `cost_list` and `perf_list`. The
 * order of the models differs from question to question.
 *
 * @throws WinnowError ERR_DATA_ROUTING with file, index and field
 */
export function llmrouterQuery(value: unknown, where: string): RoutingQuery {
  if (typeof value !== 'object' || value === null) {
    throw routingError(where, 'is no question', 'an object with query, llm_name_list, cost_list, perf_list', value);
  }
  const row = value as Row;
  const models = listOf(row, 'llm_name_list', where).map((name) => cellText(name, where, 'llm_name_list'));
  const [costs, effects] = [listOf(row, 'cost_list', where), listOf(row, 'perf_list', where)];
  for (const [field, list] of [['cost_list', costs] as const, ['perf_list', effects] as const]) {
    if (list.length !== models.length) {
      throw routingError(where, `has a ${field} of another length`, `${models.length} values`, list.length);
    }
  }
  const outcomes = new Map<string, RoutingOutcome>();
  models.forEach((model, index) => {
    if (outcomes.has(model)) throw routingError(where, 'names a model twice', 'distinct names', model);
    const effect = cellNumber(effects[index], where, `perf_list[${index}]`);
    outcomes.set(model, { effect, cost: cellNumber(costs[index], where, `cost_list[${index}]`, 0) });
  });
  const source = typeof row.source === 'string' && row.source !== '' ? row.source : 'questions';
  const id = typeof row.q_id === 'string' || typeof row.q_id === 'number' ? String(row.q_id) : undefined;
  if (id === undefined) throw routingError(where, 'has no q_id', 'a number or text in the field q_id', row.q_id);
  return { id: `${source}/${id}`, query: cellText(row.query, where, 'query'), benchmark: source, outcomes };
}
