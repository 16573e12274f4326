// Rows as lines on a canvas: no peak is lost, gaps stay gaps, and few points are needed.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Polyline, greatest, least } from "../../static/js/panels/polyline.js";

/** One pixel a second, one pixel a unit, zero at the bottom of 100. */
const FRAME = { fromMs: 0, left: 0, perMs: 0.001, low: 0, bottom: 100, perUnit: 1 };

/** Remembers what is drawn, such as "M0,99 L1,98". */
class Pen {
  /** @type {string[]} */
  strokes = [];
  moveTo(/** @type {number} */ x, /** @type {number} */ y) {
    this.strokes.push(`M${x},${y}`);
  }
  lineTo(/** @type {number} */ x, /** @type {number} */ y) {
    this.strokes.push(`L${x},${y}`);
  }
  closePath() {
    this.strokes.push("Z");
  }
  toString() {
    return this.strokes.join(" ");
  }
}

/**
 * @param {number[]} times
 * @param {number[]} row
 * @param {{low?: number[], high?: number[], stepMs?: number}} [more]
 */
function lineOf(times, row, { low = row, high = row, stepMs = 0 } = {}) {
  const line = new Polyline();
  line.follow(times, { row, low, high }, 0, row.length - 1, stepMs, FRAME);
  return line;
}

/** @param {Polyline} line */
function stroked(line) {
  const pen = new Pen();
  line.stroke(pen);
  return String(pen);
}

/** @param {Polyline} line @param {number | Polyline} ground */
function filled(line, ground) {
  const pen = new Pen();
  line.fill(pen, ground);
  return String(pen);
}

test("nothing, or nothing but missing values, is no line", () => {
  assert.equal(stroked(lineOf([], [])), "");
  assert.equal(stroked(lineOf([0, 1000], [NaN, NaN])), "");
  assert.equal(filled(lineOf([0, 1000], [NaN, NaN]), 100), "");
});

test("a line breaks at missing values and where steps are missing", () => {
  const times = [0, 1000, 2000, 3000, 6000, 7000];
  const line = lineOf(times, [1, 2, NaN, 4, 5, 6], { stepMs: 1000 });
  assert.equal(stroked(line), "M0,99 L1,98 M3,96 M6,95 L7,94");
  assert.deepEqual(line.lone, [3], "a value between two gaps gets a dot");
  assert.equal(stroked(lineOf(times, [1, 2, 3, 4, 5, 6])), "M0,99 L1,98 L2,97 L3,96 L6,95 L7,94");
});

test("of many values of one pixel the lowest and the highest stay, the later one last", () => {
  assert.equal(stroked(lineOf([0, 100, 200, 300, 1000], [5, 9, 1, 2, 3])), "M0,91 L0,99 L1,97");
  assert.equal(stroked(lineOf([0, 100, 200, 300, 1000], [5, 1, 9, 8, 3])), "M0,99 L0,91 L1,97");
});

test("a level stretch is one piece, however long", () => {
  const times = [0, 1000, 2000, 3000, 4000, 5000];
  assert.equal(stroked(lineOf(times, [5, 5, 5, 5, 6, 6])), "M0,95 L3,95 L4,94 L5,94");
  assert.equal(stroked(lineOf(times, [5, 5, NaN, 5, 5, 5])), "M0,95 L1,95 M3,95 L5,95");
});

test("what was passed between the steps is seen, too", () => {
  const line = lineOf([0, 100, 1000], [5, 5, 5], { low: [5, 2, 5], high: [5, 50, 5] });
  assert.equal(stroked(line), "M0,50 L0,98 L1,95");
});

test("an area reaches down to its ground, or to the line below", () => {
  const times = [0, 1000, 2000, 3000];
  assert.equal(filled(lineOf(times, [1, 2, NaN, 4]), 100), "M0,99 L1,98 L1,100 L0,100 Z M3,96 L3,100 L3,100 Z");
  const below = lineOf(times, [1, 1, NaN, 1]);
  assert.equal(filled(lineOf(times, [1, 2, NaN, 4]), below), "M0,99 L1,98 L1,99 L0,99 Z M3,96 L3,99 Z");
});

test("a long row takes at most two points a pixel, and keeps every extreme", () => {
  const times = Array.from({ length: 5000 }, (_, i) => i * 10);
  const row = times.map((_, i) => (i === 1234 ? 99 : i === 4000 ? 0 : 50 + (i % 7)));
  const line = lineOf(times, row);
  assert.ok(line.count <= 2 * 51, `${line.count} points`);
  assert.match(stroked(line), /,1(?!\d)/);
  assert.match(stroked(line), /,100/);
});

test("missing values are neither the least nor the greatest", () => {
  assert.equal(least([NaN, 3, NaN, 2], 0, 3), 2);
  assert.equal(greatest([NaN, 3, NaN, 2], 0, 3), 3);
  assert.equal(least([NaN], 0, 0), Infinity);
  assert.equal(greatest([], 0, -1), -Infinity);
});
