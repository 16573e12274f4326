// Fewer points for small pictures, without losing a peak.

/** @typedef {{x: number, low: number, high: number, last: number}} Column */

/**
 * Collects points into pixel columns, each with its lowest, highest and last value.
 * @param {readonly number[]} times ms, ascending
 * @param {readonly (number | null)[]} values
 * @param {{fromMs: number, toMs: number}} window
 * @param {number} width in pixels, at least 1
 * @returns {(Column | null)[]} in order; null where a stretch without values breaks the line
 */
export function columns(times, values, { fromMs, toMs }, width) {
  /** @type {(Column | null)[]} */
  const result = [];
  const scale = (width - 1) / Math.max(1, toMs - fromMs);
  let broken = false;
  for (let i = 0; i < times.length; i += 1) {
    if (times[i] < fromMs || times[i] > toMs) continue;
    const value = values[i];
    if (value === null || value === undefined || !Number.isFinite(value)) {
      broken = result.length > 0;
      continue;
    }
    const x = Math.round((times[i] - fromMs) * scale);
    const before = result[result.length - 1];
    if (before && before.x === x && !broken) {
      before.low = Math.min(before.low, value);
      before.high = Math.max(before.high, value);
      before.last = value;
    } else {
      if (broken) result.push(null);
      result.push({ x, low: value, high: value, last: value });
    }
    broken = false;
  }
  return result;
}
