// Stacked series: each row lies on the sum of the rows before it.

import { isValue } from "../values.js";

/** @typedef {Float64Array} Row */

/**
 * @param {readonly ArrayLike<number | null>[]} rows
 * @param {(index: number) => boolean} shown a hidden row keeps its place and lifts nothing
 * @returns {Row[]} sums from the first row upwards. A missing value lifts by nothing; where every
 *   shown row misses, the sum misses too
 */
export function stack(rows, shown) {
  const length = rows.length > 0 ? rows[0].length : 0;
  const sum = new Float64Array(length).fill(NaN);
  rows.forEach((row, index) => {
    if (!shown(index)) return;
    for (let i = 0; i < length; i += 1) if (isValue(row[i])) sum[i] = 0;
  });
  return rows.map((row, index) => {
    if (!shown(index)) return new Float64Array(length).fill(NaN);
    for (let i = 0; i < length; i += 1) {
      const value = row[i];
      if (isValue(value)) sum[i] += value;
    }
    return sum.slice();
  });
}

/**
 * On which row each row of a stack lies.
 * @param {number} count of series
 * @param {(index: number) => boolean} shown
 * @returns {number[]} indices of rows; -1: on the ground
 */
export function groundsOf(count, shown) {
  const grounds = [];
  let below = -1;
  for (let index = 0; index < count; index += 1) {
    grounds.push(below);
    if (shown(index)) below = index;
  }
  return grounds;
}
