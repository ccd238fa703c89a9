/** Figures of a critic over the tokens of a rollout, under veRL's names. Pure. */

export interface CriticFigures {
  /** One array a completion, one entry a token. */
  readonly values: readonly ArrayLike<number>[];
  readonly returns: readonly ArrayLike<number>[];
  /** As the policy is trained on them. */
  readonly advantages: readonly ArrayLike<number>[];
  /** The completions that bear loss. */
  readonly active: readonly boolean[];
}

export function criticMetrics({ active, ...arrays }: CriticFigures): Record<string, number> {
  const metrics: Record<string, number> = {};
  const flat = Object.fromEntries(
    Object.entries(arrays).map(([name, rows]) => [name, rows.flatMap((row, i) => (active[i] ? Array.from(row) : []))]),
  ) as Record<keyof typeof arrays, number[]>;
  if (flat.values.length === 0) return metrics;
  for (const [name, all] of Object.entries(flat)) {
    metrics[`critic/${name}/mean`] = all.reduce((sum, value) => sum + value, 0) / all.length;
    metrics[`critic/${name}/max`] = all.reduce((most, value) => Math.max(most, value));
    metrics[`critic/${name}/min`] = all.reduce((least, value) => Math.min(least, value));
  }
  metrics['critic/vf_explained_var'] = explainedVariance(flat.values, flat.returns);
  return metrics;
}

/** 1 - var(returns - values) / (var(returns) + 1e-5), as veRL: 1 for a critic that knows all, 0 for one that says the mean. */
export function explainedVariance(values: readonly number[], returns: readonly number[]): number {
  const errors = returns.map((value, token) => value - (values[token] as number));
  return 1 - variance(errors) / (variance(returns) + 1e-5);
}

/** Unbiased; 0 for fewer than two. */
function variance(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
}
