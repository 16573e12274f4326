// Fewer points for small pictures, without losing a peak.

import { isValue } from "../values.js";

/** @typedef {{x: number, low: number, high: number, last: number}} Column */

/**
 * Collects points into pixel columns, each with its lowest, highest and last value.
 * @param {ArrayLike<number>} times ms, ascending
 * @param {ArrayLike<number | null>} values
 * @param {{fromMs: number, toMs: number}} window
 * @param {number} width in pixels, at least 1
 * @param {number} [stepMs] times further apart than this break the line
 * @returns {(Column | null)[]} in order; null where a stretch without values breaks the line
 */
export function columns(times, values, { fromMs, toMs }, width, stepMs = Infinity) {
  /** @type {(Column | null)[]} */
  const result = [];
  const scale = (width - 1) / Math.max(1, toMs - fromMs);
  let broken = false;
  const joinedMs = stepMs > 0 ? stepMs : Infinity;
  let beforeMs = NaN;
  for (let i = 0; i < times.length; i += 1) {
    if (times[i] < fromMs || times[i] > toMs) continue;
    const value = values[i];
    if (!isValue(value) || !Number.isFinite(value)) {
      broken = result.length > 0;
      continue;
    }
    if (times[i] - beforeMs > joinedMs) broken = result.length > 0;
    beforeMs = times[i];
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
