/**
 * The critic's loss as a pure function on the tokens of one completion, and the derivatives by each token's value with which the
 * engine makes its gradient.
 *
 * value: V of the state before the token, under the critic being trained; old: under the critic of the rollout; returns: what the
 * value should be. One entry a token each.
 */

export interface ValueTarget {
  readonly old: ArrayLike<number>;
  readonly returns: ArrayLike<number>;
}

export interface TokenValueLoss {
  readonly value: Float64Array;
  /** d value / d V, token by token. */
  readonly derivative: Float64Array;
  /** Tokens whose clipped loss is the larger one. */
  readonly clipped: number;
}

/**
 * max((V - R)^2, (clip(V, old - range, old + range) - R)^2) / 2: the clipped value loss of OpenAI Baselines' ppo2 (Dhariwal et al.
 * 2017), as TRL (`cliprange_value`) and veRL (`compute_value_loss`) have it. Without `range`, (V - R)^2 / 2. Where the clipped loss
 * is the larger one the value has gone further than `range` and away from its return's side, and its gradient is 0.
 */
export function clippedValueLoss(
  values: ArrayLike<number>,
  { old, returns }: ValueTarget,
  range = Number.POSITIVE_INFINITY,
): TokenValueLoss {
  const value = new Float64Array(values.length);
  const derivative = new Float64Array(values.length);
  let clipped = 0;
  for (let token = 0; token < values.length; token++) {
    const now = values[token] as number;
    const before = old[token] as number;
    const free = now - (returns[token] as number);
    const bounded = Math.min(Math.max(now, before - range), before + range) - (returns[token] as number);
    const acts = bounded ** 2 > free ** 2;
    value[token] = (acts ? bounded : free) ** 2 / 2;
    derivative[token] = acts ? 0 : free;
    if (acts) clipped++;
  }
  return { value, derivative, clipped };
}

/** A sequence with what its values are trained towards. */
export interface ValueTerm {
  readonly tokens: Int32Array;
  /** Where the completion begins. */
  readonly start: number;
  /** Of each completion token: mask and normaliser in one. */
  readonly weight: number;
  readonly target: ValueTarget;
}

/** Sums over tokens; `loss` times the weights. */
export interface ValueSums {
  loss: number;
  predicted: number;
  clipped: number;
  tokens: number;
}

export interface ValueGradient {
  /** One array a sequence, aligned with its tokens, 0 on the prompt: the engine's `valueGradient`. */
  readonly gradient: Float32Array[];
  readonly sums: ValueSums;
}

/** `values`: current values, one array a term, one entry a completion token. */
export function valueGradient(
  terms: readonly ValueTerm[],
  values: readonly ArrayLike<number>[],
  { clip, coefficient = 1 }: { readonly clip?: number | undefined; readonly coefficient?: number | undefined },
): ValueGradient {
  const sums: ValueSums = { loss: 0, predicted: 0, clipped: 0, tokens: 0 };
  const gradient = terms.map(({ tokens, start, weight, target }, index) => {
    const current = values[index] as ArrayLike<number>;
    const { value, derivative, clipped } = clippedValueLoss(current, target, clip);
    sums.loss += weight * value.reduce((sum, one) => sum + one, 0);
    sums.predicted += Array.from(current).reduce((sum, one) => sum + one, 0);
    sums.clipped += clipped;
    sums.tokens += current.length;
    const row = new Float32Array(tokens.length);
    row.set(
      derivative.map((one) => coefficient * weight * one),
      start,
    );
    return row;
  });
  return { gradient, sums };
}
