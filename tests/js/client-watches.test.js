// What the live client asks for and shows: history, updates, events, metrics, the clock.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { SERVER_TYPES } from "../../static/js/protocol.js";
import { PARAMS, Viewer, liveWorld, snapshot, update } from "./viewer.js";
import { START_MS, World } from "./world.js";

// The main job

test("the page is live only after the welcome", () => {
  const world = new World();
  const client = world.client();
  /** @type {string[]} */
  const states = [];
  const stop = client.onStatus((status) => states.push(status.state));
  assert.equal(world.socket.url, "ws://host/live/");
  assert.deepEqual(world.socket.protocols, ["pulseboard.v1", "pulseboard.v1.json"]);
  world.socket.open();
  assert.equal(client.status.state, "connecting");
  world.socket.welcome();
  assert.equal(client.status.state, "live");
  stop();
  world.socket.drops(1006);
  assert.deepEqual(states, ["connecting", "live"]);
});

test("a token is said first, before anything is watched", () => {
  const world = new World();
  const client = world.client({ token: "pb_x" });
  client.watchQuery(PARAMS, new Viewer().handlers);
  world.socket.welcome();
  assert.deepEqual(world.socket.received[0], { type: "hello", token: "pb_x" });
  assert.equal(world.socket.received[1].type, "watch");
});

test("all watches of a page share one socket, with ids in the order of their creation", () => {
  const world = new World();
  const client = world.client();
  client.watchQuery(PARAMS, new Viewer().handlers);
  client.watchEvents({ limit: 7 }, { onEvents() {} });
  assert.deepEqual(world.socket.received, []);
  world.socket.welcome();
  client.watchMetrics({ onMetrics() {} });
  client.watchQuery({ ...PARAMS, endMs: START_MS }, new Viewer().handlers);
  assert.equal(world.sockets.length, 1);
  assert.deepEqual(world.socket.received, [
    { type: "watch", id: 1, expr: "up", range_ms: 60_000, step_ms: 1000, cursor: null },
    { type: "watch_events", id: 2, limit: 7, cursor: null },
    { type: "watch_metrics", id: 3 },
    { type: "watch", id: 4, expr: "up", range_ms: 60_000, step_ms: 1000, end_ms: START_MS, cursor: null },
  ]);
});

test("history comes first and then continues, and old points leave a live picture", () => {
  const { world, client } = liveWorld();
  const viewer = new Viewer();
  client.watchQuery(PARAMS, viewer.handlers);
  world.socket.says(update(1, [START_MS], [0]));
  assert.deepEqual(viewer.kinds, []);
  world.socket.says(snapshot(1, [START_MS], [0]));
  for (let second = 1; second <= 300; second += 1) {
    world.socket.says(update(1, [START_MS + second * 1000], [second]));
  }
  assert.equal(viewer.store?.lastTimeMs, START_MS + 300_000);
  const points = viewer.store?.times.length ?? 0;
  assert.ok(points >= 61 && points < 61 + 64, `${points} points`);
});

test("a stopped watch is taken back and hears nothing more", () => {
  const { world, client } = liveWorld();
  const viewer = new Viewer();
  const watch = client.watchQuery(PARAMS, viewer.handlers);
  watch.stop();
  watch.stop();
  world.socket.says(snapshot(1, [START_MS], [1]));
  watch.update({ rangeMs: 5 });
  assert.deepEqual(viewer.kinds, []);
  assert.deepEqual(world.socket.requests("unwatch"), [{ type: "unwatch", id: 1 }]);
  assert.equal(world.socket.requests("watch").length, 1);
  assert.equal(client.stats.ignored, 0);
});

test("another range is asked for on the same socket, and the old picture stays until it comes", () => {
  const { world, client } = liveWorld();
  const viewer = new Viewer();
  const watch = client.watchQuery(PARAMS, viewer.handlers);
  world.socket.says(snapshot(1, [START_MS], [1]));
  watch.update({ rangeMs: 60_000, stepMs: 1000 });
  assert.equal(world.socket.received.length, 1);
  watch.update({ rangeMs: 300_000.4, stepMs: 2000, endMs: null });
  assert.deepEqual(world.socket.received.slice(1), [
    { type: "unwatch", id: 1 },
    { type: "watch", id: 2, expr: "up", range_ms: 300_000, step_ms: 2000, cursor: null },
  ]);
  world.socket.says(update(1, [START_MS + 1000], [99]));
  assert.deepEqual(viewer.picture, { times: [START_MS], values: [[1]] });
  assert.equal(client.stats.ignored, 0);
  world.socket.says({ ...snapshot(2, [START_MS - 2000, START_MS], [7, 8]), step_ms: 2000 });
  assert.deepEqual(viewer.picture.values, [[7, 8]]);
  assert.deepEqual(viewer.kinds, ["snapshot", "snapshot"]);
});

// Events, metrics, clock

test("an event is shown once, also when the server sends it again after a break", () => {
  const { world, client } = liveWorld();
  /** @type {[number[], boolean][]} */
  const shown = [];
  client.watchEvents({}, { onEvents: (events, first) => shown.push([events.map((e) => e.id), first]) });
  const event = (/** @type {number} */ id) => ({ id, time: START_MS + id, title: "t", text: "", labels: {} });
  world.socket.says({ type: "events", id: 1, events: [], cursor: "e1:0" });
  world.socket.says({ type: "events", id: 1, events: [event(1), event(2)], cursor: "e1:2" });
  world.socket.drops(1006);
  world.pass(500);
  world.socket.welcome();
  world.socket.says({ type: "events", id: 1, events: [event(1), event(2), event(3)], cursor: "e2:1" });
  world.socket.says({ type: "events", id: 1, events: [event(3)], cursor: "e2:1" });
  assert.deepEqual(shown, [[[], true], [[1, 2], false], [[3], false]]);
});

test("the list of metrics begins anew with every connection", () => {
  const { world, client } = liveWorld();
  /** @type {[number, boolean][]} */
  const shown = [];
  client.watchMetrics({ onMetrics: (metrics, first) => shown.push([metrics.length, first]) });
  const metric = { name: "m", kind: "gauge", unit: "", help: "", series: 1, labels: {}, time: 1, value: 1 };
  world.socket.says({ type: "metrics", id: 1, metrics: [metric, metric], cursor: "c1" });
  world.socket.says({ type: "metrics", id: 1, metrics: [metric], cursor: "c2" });
  world.socket.drops(1006);
  world.pass(500);
  world.socket.welcome();
  assert.deepEqual(world.socket.received, [{ type: "watch_metrics", id: 1 }]);
  world.socket.says({ type: "metrics", id: 1, metrics: [metric], cursor: "c1" });
  assert.deepEqual(shown, [[2, true], [1, false], [1, true]]);
});

test("the server's clock is followed, whatever the reader's says", () => {
  const world = new World();
  const client = world.client();
  assert.equal(client.serverNow(), START_MS);
  world.socket.welcome({ server_ms: START_MS + 3_600_000 });
  assert.equal(client.serverNow(), START_MS + 3_600_000);
  world.pass(2_000);
  world.socket.says({ type: "heartbeat", server_ms: START_MS + 3_601_200 });
  assert.equal(client.serverNow(), START_MS + 3_602_000, "a late heartbeat does not turn it back");
  for (let i = 0; i < 5; i += 1) world.socket.says({ type: "heartbeat", server_ms: START_MS });
  assert.equal(client.serverNow(), START_MS, "a server whose clock was set is believed");
  world.socket.says({ type: "heartbeat" });
  assert.equal(client.serverNow(), START_MS);
});

test("frames and bytes are counted", () => {
  const { world, client } = liveWorld();
  const before = { ...client.stats };
  world.pass(1_000);
  world.socket.says({ type: "heartbeat", server_ms: 1 });
  assert.equal(client.stats.framesIn, before.framesIn + 1);
  assert.equal(client.stats.bytesIn, before.bytesIn + '{"type":"heartbeat","server_ms":1}'.length);
  assert.equal(client.stats.lastFrameMs, START_MS + 1_000);
});

// The example frames that the server's tests read too

const EXAMPLES = new URL("../examples/frames.json", import.meta.url);

test("every example frame of the protocol is understood", {
  skip: existsSync(EXAMPLES) ? false : "tests/examples/frames.json is missing: run manage.py protocol",
}, () => {
  /** @type {{server: any[]}} */
  const examples = JSON.parse(readFileSync(EXAMPLES, "utf8"));
  const world = new World();
  const client = world.client();
  const viewer = new Viewer();
  let events = 0;
  let metrics = 0;
  let present = 0;
  client.watchQuery(PARAMS, viewer.handlers);
  client.watchEvents({}, { onEvents: () => (events += 1) });
  client.watchMetrics({ onMetrics: () => (metrics += 1) });
  client.watchPresence({ board: "this-machine" }, { onPeople: (people) => (present += people.length) });
  world.socket.open();
  for (const frame of examples.server) world.socket.says(frame);
  assert.equal(client.stats.ignored, 0);
  assert.deepEqual(world.warnings, []);
  assert.equal(client.resyncs, 0);
  const types = new Set(examples.server.map((frame) => frame.type));
  assert.deepEqual([...types].sort(), [...SERVER_TYPES].sort());
  const updates = examples.server.filter((frame) => frame.type === "update").length;
  assert.deepEqual(viewer.kinds, ["snapshot", ...new Array(updates).fill("update")]);
  assert.deepEqual([events, metrics, present], [1, 1, 3]);
});
