// Stacked series: each row lies on the sum of the rows before it.

/** @typedef {import("../live/store.js").Row} Row */

/**
 * @param {readonly Row[]} rows
 * @param {(index: number) => boolean} shown a hidden row keeps its place and lifts nothing
 * @returns {Row[]} sums from the first row upwards. A missing value lifts by nothing; where every
 *   shown row misses, the sum misses too
 */
export function stack(rows, shown) {
  const length = rows.length > 0 ? rows[0].length : 0;
  const sum = new Array(length).fill(0);
  const known = new Array(length).fill(false);
  rows.forEach((row, index) => {
    if (!shown(index)) return;
    for (let i = 0; i < length; i += 1) if (row[i] !== null) known[i] = true;
  });
  return rows.map((row, index) => {
    if (!shown(index)) return row.map(() => null);
    for (let i = 0; i < length; i += 1) sum[i] += row[i] ?? 0;
    return sum.map((value, i) => (known[i] ? value : null));
  });
}

/**
 * Which neighbours enclose a filled band.
 * @param {number} count of series
 * @param {(index: number) => boolean} shown
 * @returns {[number, number][]} [upper, lower] indices of rows; the lowest fills to zero on its own
 */
export function bandsOf(count, shown) {
  /** @type {[number, number][]} */
  const bands = [];
  let below = -1;
  for (let index = 0; index < count; index += 1) {
    if (!shown(index)) continue;
    if (below >= 0) bands.push([index, below]);
    below = index;
  }
  return bands;
}
