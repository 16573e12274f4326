// What a row of values says in a few numbers.

import { isValue, positionOf } from "../values.js";

/** @typedef {ArrayLike<number | null>} Row */

/** A small "min" would look odd next to "35 min 52 s" a second later. */
const LONG_TIMES = new Set(["min", "h", "d"]);

/**
 * @param {ArrayLike<number>} times
 * @param {Row} row
 * @param {number} untilMs later values are not looked at
 * @returns {{value: number, timeMs: number} | null} the newest value
 */
export function latest(times, row, untilMs) {
  for (let i = positionOf(times, untilMs + 1) - 1; i >= 0; i -= 1) {
    const value = row[i];
    if (isValue(value)) return { value, timeMs: times[i] };
  }
  return null;
}

/**
 * @param {ArrayLike<number>} times
 * @param {Row} row
 * @param {{fromMs: number, toMs: number}} window
 * @returns {{min: number, mean: number, max: number} | null}
 */
export function summary(times, row, { fromMs, toMs }) {
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  let count = 0;
  for (let i = positionOf(times, fromMs); i < times.length && times[i] <= toMs; i += 1) {
    const value = row[i];
    if (!isValue(value)) continue;
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
    count += 1;
  }
  return count === 0 ? null : { min, max, mean: sum / count };
}

/**
 * @param {readonly Row[]} rows
 * @returns {boolean} any value at all
 */
export function anyValue(rows) {
  return rows.some((row) => {
    for (let i = row.length - 1; i >= 0; i -= 1) if (isValue(row[i])) return true;
    return false;
  });
}

/**
 * Splits "12.4 GiB" so that the unit can be set smaller.
 * @param {string} text of formatValue
 * @returns {[string, string]} number and unit; "2 d 4 h" stays whole, and so does "2 d"
 */
export function splitUnit(text) {
  const match = /^([-−]?[\d.,]+(?:e-?\d+)?)\s?([^\d\s.,-]\S*)$/.exec(text);
  return match === null || LONG_TIMES.has(match[2]) ? [text, ""] : [match[1], match[2]];
}

/**
 * @param {string} a
 * @param {string} b
 * @returns {number} cpu2 before cpu10
 */
export function naturally(a, b) {
  return a.localeCompare(b, "en", { numeric: true });
}

/**
 * @param {readonly {name: string}[]} names
 * @returns {number[]} their positions, as people would sort them
 */
export function inNaturalOrder(names) {
  return names.map((_, i) => i).sort((a, b) => naturally(names[a].name, names[b].name));
}
