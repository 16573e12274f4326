import assert from "node:assert/strict";
import { test } from "node:test";

import { commandOf } from "../../static/js/pages/keys.js";
import { readSpan } from "../../static/js/pages/timecontrol.js";
import { visibleRows } from "../../static/js/panels/datatable.js";
import { withEvents } from "../../static/js/panels/events.js";
import { valueIncrements } from "../../static/js/panels/chartoptions.js";
import { widened } from "../../static/js/panels/querypanel.js";
import { heightOf, runs } from "../../static/js/panels/sparkline.js";
import { sorted } from "../../static/js/panels/tablepanel.js";
import { ago, axisTimes, span } from "../../static/js/panels/times.js";
import { TimeView, overlap } from "../../static/js/panels/timeview.js";
import { ranked } from "../../static/js/panels/tooltip.js";
import { statusWords } from "../../static/js/statuslight.js";

const NOW_MS = Date.UTC(2026, 10, 20, 12, 0, 0);
const MINUTE_MS = 60_000;

const plain = { ctrlKey: false, metaKey: false, altKey: false };

test("letters that are being typed, or held with Ctrl, command nothing", () => {
  assert.equal(commandOf({ key: "l", ...plain }, true), null);
  assert.equal(commandOf({ key: "l", ...plain, ctrlKey: true }, false), null);
  assert.equal(commandOf({ key: "constructor", ...plain }, false), null);
  assert.equal(commandOf({ key: "l", ...plain }, false), "live");
  assert.equal(commandOf({ key: "Escape", ...plain }, false), "live");
});

test("an absolute range that is no range is refused with a sentence", () => {
  assert.deepEqual(readSpan("", "2026-11-20T12:00:00"), { problem: "From: give a date and a time." });
  assert.deepEqual(readSpan("2026-11-20T12:00:00", "x"), { problem: "To: give a date and a time." });
  const same = readSpan("2026-11-20T12:00:00", "2026-11-20T12:00:00");
  assert.deepEqual(same, { problem: "To must be later than From." });
});

test("a zoom on next to nothing is widened around its middle", () => {
  const view = new TimeView({ rangeMs: MINUTE_MS, endMs: null }, MINUTE_MS);
  view.show(NOW_MS, NOW_MS + 2);
  const { fromMs, toMs } = view.window(0);
  assert.equal(toMs - fromMs, 10_000);
  assert.equal((toMs + fromMs) / 2, NOW_MS + 1);
});

test("pausing keeps the picture, and going live brings the span from before back", () => {
  const view = new TimeView({ rangeMs: MINUTE_MS, endMs: null }, 5 * MINUTE_MS);
  let changes = 0;
  view.addEventListener("change", () => (changes += 1));
  view.pause(NOW_MS);
  assert.ok(!view.following);
  assert.deepEqual(view.window(NOW_MS + 9e6), { fromMs: NOW_MS - MINUTE_MS, toMs: NOW_MS });
  view.pause(NOW_MS + 1000);
  assert.equal(changes, 1);
  view.follow();
  assert.deepEqual(view.range, { rangeMs: MINUTE_MS, endMs: null });
  assert.deepEqual(view.window(NOW_MS), { fromMs: NOW_MS - MINUTE_MS, toMs: NOW_MS });
});

test("a page opened on an absolute span goes back to the default live span", () => {
  const view = new TimeView({ rangeMs: 7_000, endMs: NOW_MS }, MINUTE_MS);
  view.follow();
  assert.equal(view.range.rangeMs, MINUTE_MS);
});

test("an old picture stays only when it says little about the new span", () => {
  assert.equal(overlap({ fromMs: 0, toMs: 10 }, { fromMs: 20, toMs: 30 }), 0);
  assert.equal(overlap({ fromMs: 0, toMs: 10 }, { fromMs: 5, toMs: 30 }), 0.5);
  assert.equal(overlap({ fromMs: 5, toMs: 5 }, { fromMs: 0, toMs: 30 }), 0);
});

test("lines reach both edges, but nothing is asked of the future", () => {
  assert.deepEqual(widened(60_000, null, 1000, NOW_MS), { rangeMs: 62_000, endMs: null });
  const past = widened(60_500, NOW_MS - 400, 1000, NOW_MS);
  assert.deepEqual(past, { rangeMs: 61_900, endMs: NOW_MS });
  assert.equal(widened(60_000, NOW_MS - 400, 1000, NOW_MS - 300).endMs, NOW_MS - 400);
});

test("axes of time tick at whole minutes and hours", () => {
  assert.ok(valueIncrements("seconds")?.includes(600));
  assert.ok(!valueIncrements("seconds")?.includes(500));
  assert.ok(valueIncrements("milliseconds")?.includes(0.5));
  assert.equal(valueIncrements("celsius"), undefined);
});

test("a constant line runs in the middle, a constant zero on the ground", () => {
  assert.equal(heightOf(5, 5, 5), 0.5);
  assert.equal(heightOf(0, 0, 0), 0);
  assert.deepEqual(runs([1, null, null, 2, 3]), [[1], [2, 3]]);
});

test("an event that arrives twice is listed once, and the list is bounded", () => {
  /** @param {number} id */
  const event = (id) => ({ id, time: id * 1000, title: "", text: "", labels: {} });
  const merged = withEvents([event(2), event(1)], [event(2), event(3)]);
  assert.deepEqual(merged.map(({ id }) => id), [3, 2, 1]);
  assert.deepEqual(withEvents([], [event(1), event(2), event(3)], 2).map(({ id }) => id), [3, 2]);
});

test("rows without a value stand last, whichever way a table is sorted", () => {
  const rows = [
    { key: "a", texts: ["a"], numbers: [null] },
    { key: "b", texts: ["b"], numbers: [2] },
    { key: "c", texts: ["c"], numbers: [5] },
  ];
  const keys = (/** @type {boolean} */ descending) => sorted(rows, 1, descending).map(({ key }) => key).join("");
  assert.equal(keys(false), "bca");
  assert.equal(keys(true), "cba");
  assert.equal(sorted(rows, 0, true)[0].key, "c");
});

test("the table view lists the newest rows of the picture first and leaves empty ones out", () => {
  assert.deepEqual(visibleRows([1, 2, 3, 4], [[1, null, 3, 4]], { fromMs: 1, toMs: 3 }), [2, 0]);
});

test("a tooltip of many lines shows the largest, and always the one under the pointer", () => {
  const rows = Array.from({ length: 30 }, (_, i) => ({ name: `${i}`, slot: i, value: i, near: i === 0 }));
  const { rows: shown, more } = ranked(rows);
  assert.equal(shown.length, 12);
  assert.equal(more, 18);
  assert.ok(shown.some(({ near }) => near));
});

test("times are as short as they can be, and as long as they must", () => {
  assert.equal(ago(NOW_MS + 5000, NOW_MS), "now");
  assert.equal(ago(NOW_MS - 59_000, NOW_MS), "59 s ago");
  assert.equal(ago(NOW_MS - 3_600_000, NOW_MS), "1 h ago");
  const local = new Date(2026, 10, 20, 9, 5, 7).getTime();
  assert.deepEqual(axisTimes([local], 1000), ["09:05:07"]);
  assert.deepEqual(axisTimes([local], MINUTE_MS), ["09:05"]);
  assert.deepEqual(axisTimes([new Date(2026, 10, 20).getTime()], 3_600_000), ["11-20"]);
  assert.equal(span(local, local + 1000, local), "09:05:07 – 09:05:08");
  assert.equal(span(local, local + 1000, local + 9e7), "2026-11-20 09:05:07 – 09:05:08");
});

test("the light says in words since when the page is offline", () => {
  const since = new Date(2026, 10, 20, 9, 5, 7).getTime();
  assert.equal(statusWords({ state: "offline", since }, since + 1), "Offline since 09:05:07");
  assert.equal(statusWords({ state: "reconnecting", since }, since + 1), "Reconnecting");
  assert.equal(statusWords({ state: "reconnecting", since }, since + 5000), "Reconnecting since 09:05:07");
  assert.equal(statusWords({ state: "live", since }, since), "Live");
});

test("the light says in words that the page is too slow", () => {
  const since = 0;
  const words = (/** @type {any} */ status) => statusWords({ since, ...status }, since);
  assert.equal(words({ state: "live", slow: "merged" }), "Slow: updates are being merged");
  assert.equal(words({ state: "live", slow: "closed" }), "Live again: this page was too slow");
  assert.equal(words({ state: "reconnecting", slow: "closed" }), "Too slow: reconnecting");
});
