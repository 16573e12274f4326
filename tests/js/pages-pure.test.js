import assert from "node:assert/strict";
import { test } from "node:test";

import { MetricsList } from "../../static/js/pages/metricslist.js";
import { arcPath, pointAt } from "../../static/js/panels/arc.js";
import { columns } from "../../static/js/panels/decimate.js";
import { spans } from "../../static/js/panels/layout.js";
import { moveInterval } from "../../static/js/panels/loop.js";
import { Slots, strokeOf, withAlpha } from "../../static/js/panels/palette.js";
import { gaugeSpan, niceCeil, readingDecimals, share, steadySpan, valueSpan } from "../../static/js/panels/scale.js";
import { groundsOf, stack } from "../../static/js/panels/stacking.js";
import { anyValue, inNaturalOrder, latest, splitUnit, summary } from "../../static/js/panels/summary.js";
import { toggled } from "../../static/js/panels/visibility.js";

const all = () => true;

test("a panel with an absurd size still fits its grid", () => {
  assert.deepEqual(spans({ kind: "line", width: NaN, height: -3 }), {
    wide: 6, medium: 6, small: 2, rows: 1, smallRows: 4,
  });
  assert.equal(spans({ kind: "line", width: 99, height: 99 }).wide, 12);
  assert.equal(spans({ kind: "line", width: 99, height: 99 }).rows, 12);
});

test("on a phone two small numbers stand side by side and a chart takes the whole width", () => {
  assert.equal(spans({ kind: "stat", width: 2, height: 2 }).small, 1);
  assert.equal(spans({ kind: "gauge", width: 6, height: 2 }).small, 2);
  assert.equal(spans({ kind: "area", width: 4, height: 3 }).small, 2);
});

/**
 * @param {ArrayLike<number | null>[]} rows
 * @param {(index: number) => boolean} shown
 */
function sums(rows, shown) {
  return stack(rows, shown).map((row) => [...row]);
}

test("a stack of nothing is nothing", () => {
  assert.deepEqual(stack([], all), []);
  assert.deepEqual(groundsOf(0, all), []);
});

test("stacked rows lie on each other; a missing value lifts nothing and breaks only where all miss", () => {
  const rows = [[1, null, null, 4], [10, 20, null, 40]];
  assert.deepEqual(sums(rows, all), [[1, 0, NaN, 4], [11, 20, NaN, 44]]);
  assert.deepEqual(sums(rows.map((row) => Float64Array.from(row, (v) => v ?? NaN)), all), sums(rows, all));
});

test("a hidden row of a stack lets the others sink", () => {
  const rows = [[1, 1], [10, 10], [100, 100]];
  const shown = (/** @type {number} */ i) => i !== 1;
  assert.deepEqual(sums(rows, shown), [[1, 1], [NaN, NaN], [101, 101]]);
  assert.deepEqual(groundsOf(3, shown), [-1, 0, 0]);
});

test("the last shown series cannot be hidden: all come back", () => {
  assert.deepEqual(toggled(new Set(["a"]), "b", ["a", "b"], false), new Set());
});

test("a click hides one series, with a modifier only that one stays, and again brings all back", () => {
  const keys = ["a", "b", "c"];
  assert.deepEqual(toggled(new Set(), "b", keys, false), new Set(["b"]));
  assert.deepEqual(toggled(new Set(["b"]), "b", keys, false), new Set());
  const only = toggled(new Set(["a"]), "a", keys, true);
  assert.deepEqual(only, new Set(["b", "c"]));
  assert.deepEqual(toggled(only, "a", keys, true), new Set());
});

test("an axis without values, or with one value, is never zero high", () => {
  const free = { min: null, max: null, zero: false };
  const spansOf = [valueSpan(null, null, free), valueSpan(0, 0, free), valueSpan(7, 7, free), valueSpan(-7, -7, free)];
  for (const [from, to] of spansOf) assert.ok(to > from, `${from} to ${to}`);
  assert.deepEqual(valueSpan(5, 6, { min: 10, max: 10, zero: false }), [10, 20]);
});

test("areas begin at zero, lines near zero too, and a narrow band far from zero is magnified", () => {
  assert.equal(valueSpan(50, 60, { min: null, max: null, zero: true })[0], 0);
  assert.equal(valueSpan(1, 60, { min: null, max: null, zero: false })[0], 0);
  assert.ok(valueSpan(58, 62, { min: null, max: null, zero: false })[0] > 50);
  assert.deepEqual(valueSpan(1, 60, { min: 0, max: 100, zero: false }), [0, 100]);
});

test("a fixed axis stretches for a little overshoot, so no line leaves the picture, but not for more", () => {
  assert.deepEqual(valueSpan(1, 103, { min: 0, max: 100, zero: false }), [0, 103]);
  assert.deepEqual(valueSpan(1, 190, { min: 0, max: 100, zero: false }), [0, 100]);
});

test("an axis grows at once and shrinks only when much of it is unused", () => {
  assert.deepEqual(steadySpan([0, 10], [0, 11]), [0, 11]);
  assert.deepEqual(steadySpan([0, 10], [0, 8]), [0, 10]);
  assert.deepEqual(steadySpan([0, 10], [0, 3]), [0, 3]);
});

test("a gauge of percent ends at 100 even when less is known, others at a round number", () => {
  assert.deepEqual(gaugeSpan({ min: null, max: null, unit: "percent" }, 12), [0, 100]);
  assert.deepEqual(gaugeSpan({ min: null, max: null, unit: "" }, 73), [0, 80]);
  assert.deepEqual(gaugeSpan({ min: 5, max: 5, unit: "" }, 5), [5, 6]);
  assert.equal(niceCeil(0), 1);
  assert.equal(niceCeil(1200), 1200);
  assert.equal(share(NaN, [0, 1]), 0);
  assert.equal(share(7, [0, 1]), 1);
});

test("shares are read to a tenth, unless all of them are far below one percent", () => {
  assert.equal(readingDecimals({ unit: "ratio", decimals: null }, 1), 1);
  assert.equal(readingDecimals({ unit: "ratio", decimals: null }, 0.002), null);
  assert.equal(readingDecimals({ unit: "percent", decimals: 3 }, 50), 3);
  assert.equal(readingDecimals({ unit: "bytes", decimals: null }, 50), null);
});

test("an empty gauge has no arc and a full one ends where the scale ends", () => {
  assert.equal(arcPath(0), "");
  assert.equal(arcPath(NaN), "");
  const end = pointAt(1);
  assert.ok(arcPath(2).endsWith(`${end.x} ${end.y}`));
});

test("squeezing keeps the peaks and breaks where values miss", () => {
  const window = { fromMs: 0, toMs: 90 };
  const times = [0, 1, 2, 80, 85, 90];
  const points = columns(times, [1, 9, 2, null, 4, 4], window, 10);
  assert.deepEqual(points[0], { x: 0, low: 1, high: 9, last: 2 });
  assert.equal(points[1], null);
  assert.equal(points.length, 3);
  assert.deepEqual(columns(times, [null, null, null, null, null, null], window, 10), []);
  const typed = Float64Array.of(1, 9, 2, NaN, 4, 4);
  assert.deepEqual(columns(times, typed, window, 10), points);
  assert.equal(columns(times, [1, 9, 2, 3, 4, 4], window, 10, 20)[1], null);
});

test("the newest value is the newest that exists, up to the end of the picture", () => {
  assert.deepEqual(latest([1, 2, 3], [5, 6, null], 9), { value: 6, timeMs: 2 });
  assert.deepEqual(latest([1, 2, 3], [5, 6, 7], 1), { value: 5, timeMs: 1 });
  assert.equal(latest([], [], 9), null);
  assert.equal(summary([1, 2], [null, null], { fromMs: 0, toMs: 9 }), null);
  assert.deepEqual(summary([1, 2, 3], [1, 3, 99], { fromMs: 1, toMs: 2 }), { min: 1, max: 3, mean: 2 });
  assert.ok(!anyValue([[null], []]));
  assert.ok(anyValue([[null], [null, 0]]));
  assert.ok(!anyValue([Float64Array.of(NaN)]));
  const typed = Float64Array.of(5, 6, NaN);
  assert.deepEqual(latest(Float64Array.of(1, 2, 3), typed, 9), { value: 6, timeMs: 2 });
  assert.deepEqual(summary([1, 2, 3], typed, { fromMs: 1, toMs: 9 }), { min: 5, max: 6, mean: 5.5 });
});

test("only a true unit is set smaller", () => {
  assert.deepEqual(splitUnit("12.4 GiB"), ["12.4", "GiB"]);
  assert.deepEqual(splitUnit("42/s"), ["42", "/s"]);
  assert.deepEqual(splitUnit("4.76"), ["4.76", ""]);
  assert.deepEqual(splitUnit("2 d 4 h"), ["2 d 4 h", ""]);
  assert.deepEqual(splitUnit("36 min"), ["36 min", ""]);
  assert.deepEqual(splitUnit("–"), ["–", ""]);
});

test("core 2 stands before core 10", () => {
  const names = ["core 10", "core 2", "core 1"].map((name) => ({ name }));
  assert.deepEqual(inNaturalOrder(names), [2, 1, 0]);
});

test("a series keeps its colour while others come and go, and the ninth has a dash", () => {
  const slots = new Slots();
  assert.deepEqual(slots.take(["a", "b"]), [0, 1]);
  assert.deepEqual(slots.take(["b", "c"]), [1, 2]);
  assert.deepEqual(strokeOf(0), { colour: 1, dash: 0 });
  assert.deepEqual(strokeOf(8), { colour: 1, dash: 1 });
  assert.equal(withAlpha("#102030", 1), "#102030ff");
});

test("endless new series do not fill the memory of colours", () => {
  const slots = new Slots(10);
  for (let i = 0; i < 1000; i += 1) slots.take([`series ${i}`]);
  assert.ok(slots.take(["last"])[0] < 11);
});

test("axes move pixel by pixel, slower when painting is dear or motion unwanted, else not at all", () => {
  assert.equal(moveInterval([500, 250], false, 0), 250);
  assert.equal(moveInterval([20], false, 0), 90);
  assert.equal(moveInterval([20], false, 100), 400);
  assert.equal(moveInterval([20], true, 0), 1000);
  assert.equal(moveInterval([Infinity], false, 0), Infinity);
  assert.equal(moveInterval([], false, 0), Infinity);
});

/**
 * @param {string} name
 * @param {Partial<import("../../static/js/live/watches.js").LiveMetric>} [rest]
 */
function metric(name, rest = {}) {
  return { name, kind: "gauge", unit: "", help: "", series: 1, labels: {}, time: 1, value: 1, ...rest };
}

test("a reconnect forgets metrics that are gone and calls none of the known ones new", () => {
  const list = new MetricsList();
  assert.deepEqual(list.take([metric("a", { spark: [1] }), metric("b", { spark: [] })], true), ["a", "b"]);
  assert.deepEqual(list.take([metric("b", { spark: [] }), metric("c", { spark: [] })], true), ["c"]);
  assert.equal(list.size, 2);
});

test("new values lengthen the small line, up to a minute's worth", () => {
  const list = new MetricsList();
  list.take([metric("a", { spark: new Array(60).fill(0) })], true);
  list.take([metric("a", { value: 7, time: 1001 })], false);
  assert.equal(list.get("a")?.spark.length, 60);
  assert.equal(list.get("a")?.spark.at(-1), 7);
  assert.equal(list.get("a")?.spark.at(-2), 0);
});

test("in the small line silence repeats the value before it, and a hurry keeps one value a second", () => {
  const list = new MetricsList();
  list.take([metric("a", { spark: [1] })], true);
  list.take([metric("a", { value: 2, time: 3001 })], false);
  assert.deepEqual(list.get("a")?.spark, [1, 1, 1, 2]);
  list.take([metric("a", { value: 3, time: 3101 })], false);
  assert.deepEqual(list.get("a")?.spark, [1, 1, 1, 3]);
});

test("all words of the filter must occur, in any order and case", () => {
  const list = new MetricsList();
  list.take([metric("http_total", { kind: "counter" }), metric("http_open"), metric("a")], true);
  /** @param {string} filter */
  const names = (filter) => list.matching(filter, false).map(({ name }) => name);
  assert.deepEqual(names("TOTAL http"), ["http_total"]);
  assert.deepEqual(names("(.*"), []);
  assert.deepEqual(names(""), ["a", "http_open", "http_total"]);
  assert.deepEqual(list.matching("", true)[0].name, "http_total");
});
