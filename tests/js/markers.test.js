// Events on the charts: which are drawn, what they cost, and what is said of them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { chartCommand } from "../../static/js/panels/chartkeys.js";
import { EventFeed, inOrder } from "../../static/js/panels/eventfeed.js";
import { MOST_MARKERS, Markers, inSpan, spoken } from "../../static/js/panels/markers.js";
import { liveWorld } from "./viewer.js";

/**
 * @param {number} id
 * @param {number} time
 * @param {Record<string, string>} [labels]
 */
function event(id, time, labels = {}) {
  return { id, time, title: `title ${id}`, text: "", labels };
}

/** @param {readonly {id: number}[]} events */
const ids = (events) => events.map(({ id }) => id);

/** Counts what is asked of a canvas. */
class FakePath {
  static lines = 0;
  moveTo() {}
  lineTo() {
    FakePath.lines += 1;
  }
  closePath() {}
}

Object.assign(globalThis, { matchMedia: () => ({ matches: false }), Path2D: FakePath, devicePixelRatio: 1 });

/** @param {import("../../static/js/panels/eventfeed.js").LiveEvent[]} events */
function chart(events) {
  const feed = new EventFeed();
  feed.events = inOrder([], events);
  const palette = /** @type {any} */ ({ get: () => "#0b7568" });
  const markers = new Markers({ events: feed, palette });
  const ctx = { save() {}, restore() {}, setLineDash() {}, stroke() {}, fill() {} };
  /** @type {any} 1,000 ms over 100 pixels */
  const u = {
    ctx,
    bbox: { left: 0, top: 0, width: 100, height: 50 },
    scales: { x: { min: 1000, max: 2000 } },
    cursor: { left: -10 },
    valToPos: (/** @type {number} */ time) => (time - 1000) / 10,
    posToVal: (/** @type {number} */ left) => 1000 + left * 10,
  };
  return { markers, u, feed };
}

test("without events a drawing costs nothing: the chart is not even looked at", () => {
  const { markers } = chart([]);
  const untouchable = /** @type {any} */ (new Proxy({}, { get: (_, name) => assert.fail(`${String(name)} was read`) }));
  markers.draw(untouchable);
});

test("events outside of the span draw nothing", () => {
  const { markers, u } = chart([event(1, 999), event(2, 2001)]);
  u.ctx = new Proxy({}, { get: (_, name) => assert.fail(`${String(name)} was used`) });
  markers.draw(u);
});

test("of more events than are drawn the newest are, and those of one pixel are one line", () => {
  const events = Array.from({ length: MOST_MARKERS + 100 }, (_, i) => event(i, 1000 + i));
  assert.deepEqual(ids(inSpan(events, 1000, 2000)), ids(events.slice(100)));
  const { markers, u } = chart(events);
  FakePath.lines = 0;
  markers.draw(u);
  const pixels = new Set(events.slice(100).map(({ time }) => Math.round((time - 1000) / 10)));
  assert.equal(FakePath.lines, 3 * pixels.size);
});

test("both ends of a span belong to it", () => {
  const events = [event(1, 1000), event(2, 1500), event(3, 2000), event(4, 2001)];
  assert.deepEqual(ids(inSpan(events, 1000, 2000)), [1, 2, 3]);
  assert.deepEqual(inSpan(events, 1001, 1499), []);
  assert.deepEqual(inSpan([], 0, 1), []);
});

test("only what is near the cursor is read, and nothing without a cursor", () => {
  const { markers, u } = chart([event(1, 1500), event(2, 1540), event(3, 1600)]);
  assert.deepEqual(markers.near(u), []);
  u.cursor.left = 52;
  assert.deepEqual(ids(markers.near(u)), [1, 2]);
});

test("the keyboard finds the event before and after, as far as they are in sight", () => {
  const { markers, u } = chart([event(1, 900), event(2, 1500), event(3, 1600)]);
  assert.equal(markers.beside(u, 1550.5, -1)?.id, 2);
  assert.equal(markers.beside(u, 1550.5, 1)?.id, 3);
  assert.equal(markers.beside(u, 1500, -1), null);
  assert.equal(markers.beside(u, 1600, 1), null);
});

test("the newest by their storing are kept, by their times, each once", () => {
  const known = [event(1, 50), event(2, 10), event(3, 30)];
  assert.deepEqual(ids(inOrder(known, [event(4, 5), event(3, 30)], 3)), [4, 2, 3]);
});

test("panels share one watch, which is asked for after theirs, and late ones are told what is known", () => {
  const { world, client } = liveWorld();
  const feed = new EventFeed();
  /** @type {[string, number[], boolean][]} */
  const told = [];
  /** @param {string} name */
  const follow = (name) => feed.follow({ onEvents: (events, first) => told.push([name, ids(events), first]) });
  follow("a");
  follow("b");
  assert.deepEqual(world.socket.received, []);
  feed.start(client);
  assert.deepEqual(world.socket.received, [{ type: "watch_events", id: 1, limit: 1000, cursor: null }]);
  world.socket.says({ type: "events", id: 1, events: [event(7, 20), event(8, 10)], cursor: "e:1" });
  follow("late");
  world.socket.says({ type: "events", id: 1, events: [event(9, 30)], cursor: "e:2" });
  assert.deepEqual(told, [
    ["a", [7, 8], true], ["b", [7, 8], true], ["late", [8, 7], true],
    ["a", [9], false], ["b", [9], false], ["late", [9], false],
  ]);
});

test("a page without a chart or a list of events does not watch them", () => {
  const { world, client } = liveWorld();
  new EventFeed().start(client);
  assert.deepEqual(world.socket.received, []);
});

test("who hears an event hears when, what, who and its labels", () => {
  const said = spoken({ ...event(1, new Date(2026, 10, 20, 14, 2, 11).getTime(), { author: "ann", app: "shop" }), text: "Version 1.2." });
  assert.equal(said, "2026-11-20 14:02:11, event: title 1. Version 1.2. by ann. app=shop");
});

test("keys move by steps, with Shift by events, and leave the browser's own alone", () => {
  const press = { key: "", ctrlKey: false, metaKey: false, altKey: false, shiftKey: false };
  assert.equal(chartCommand({ ...press, key: "ArrowLeft", altKey: true }), null);
  assert.equal(chartCommand({ ...press, key: "toString" }), null);
  assert.deepEqual(chartCommand({ ...press, key: "ArrowLeft" }), { move: -1 });
  assert.deepEqual(chartCommand({ ...press, key: "ArrowRight", shiftKey: true }), { event: 1 });
  assert.deepEqual(chartCommand({ ...press, key: "PageUp", shiftKey: true }), { move: -10 });
  assert.deepEqual(chartCommand({ ...press, key: "+", shiftKey: true }), { zoom: 0.5 });
});
