/** Numbers and durations as people read them. */

/** About `digits` significant digits, no trailing zeros, and no exponent between 1e-4 and 1e6. */
export function formatNumber(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const magnitude = Math.abs(value);
  if (magnitude < 1e-4 || magnitude >= 1e6)
    return value.toExponential(Math.max(0, digits - 1)).replace(/\.?0*e\+?/, 'e');
  if (magnitude >= 10 ** digits) return String(Math.round(value));
  return String(Number(value.toPrecision(digits)));
}

/** 12,345,678 */
export function formatCount(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** 8 s, 3 min 20 s, 2 h 5 min */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return seconds < 10 ? `${formatNumber(seconds, 2)} s` : `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}

/** A share as a percentage: 0.125 -> 12.5. */
export function formatPercent(share: number): string {
  return Number.isFinite(share) ? (share * 100).toFixed(1) : '–';
}
