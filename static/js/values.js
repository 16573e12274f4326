// "No value" as it comes: null in JSON, NaN in typed arrays, undefined beyond an end.

/**
 * @param {number | null | undefined} value
 * @returns {value is number}
 */
export function isValue(value) {
  return typeof value === "number" && !Number.isNaN(value);
}

/**
 * @param {unknown} value
 * @returns {number} NaN for everything that is no finite number
 */
export function finiteOrNaN(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : NaN;
}

/**
 * @param {ArrayLike<number>} times ascending, ms
 * @param {number} timeMs
 * @returns {number} the first position whose time is not before `timeMs`
 */
export function positionOf(times, timeMs) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
