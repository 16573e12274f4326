// The frame inspector's log: nothing while closed, little while open, no secrets.

import assert from "node:assert/strict";
import { test } from "node:test";

import { InspectorLog, jsonLines, matches } from "../../static/js/live/inspectorlog.js";
import { encode } from "./binary.js";
import { PARAMS, Viewer, liveWorld, snapshot } from "./viewer.js";
import { START_MS, World } from "./world.js";

/** @param {World} world @param {import("../../static/js/live/client.js").LiveClient} client */
function inspected(world, client) {
  const log = new InspectorLog(() => START_MS + world.ms, () => client.serverNow(), () => {});
  client.tap = log;
  return log;
}

/** @param {InspectorLog} log */
const brief = (log) => log.entries.map(({ direction, type, id }) => `${direction} ${type} ${id ?? ""}`.trim());

test("a token that is sent is not shown", () => {
  const world = new World();
  const log = inspected(world, world.client({ token: "pb_secret" }));
  world.socket.welcome();
  const hello = log.entries.find(({ type }) => type === "hello");
  assert.ok(hello !== undefined);
  assert.ok(!jsonLines(log.entries).includes("pb_secret"));
});

test("both directions are seen, with the watch, the size and how old a frame was", () => {
  const { world, client } = liveWorld();
  const log = inspected(world, client);
  const watch = client.watchQuery(PARAMS, new Viewer().handlers);
  world.pass(250);
  const data = snapshot(watch.id, [START_MS], [1]);
  world.socket.says(data);
  world.socket.saysRaw(encode({ id: watch.id, series: [], times: [START_MS + 1000], values: [[2]] }, { kind: 2 }));
  world.socket.saysRaw("nonsense");
  assert.deepEqual(brief(log), ["out watch 1", "in snapshot 1", "in update 1", "in unreadable"]);
  const [asked, text, binary] = log.entries;
  assert.equal(asked.lagMs, null);
  assert.deepEqual([text.bytes, text.lagMs], [JSON.stringify(data).length, 250]);
  assert.deepEqual([binary.bytes, binary.lagMs], [56, -750]);
  assert.match(binary.text, /"columns":1/);
  assert.match(binary.text, /"newest":\[2\]/);
});

test("a close says its code, what it means and why; and that the page came back", () => {
  const { world, client } = liveWorld();
  const log = inspected(world, client);
  world.socket.drops(4408, "nothing was read for 10 s");
  world.pass(1000);
  world.socket.open();
  assert.deepEqual(brief(log), ["in close", "in open"]);
  assert.match(log.entries[0].text, /^4408 .*too slow.*Reason: nothing was read/);
  client.close();
  assert.deepEqual(brief(log).slice(-1), ["out close"]);
});

test("only the last frames are kept, and of long ones the beginning", () => {
  const { world, client } = liveWorld();
  const log = inspected(world, client);
  for (let i = 0; i < 600; i += 1) world.socket.says({ type: "heartbeat", server_ms: START_MS });
  assert.equal(log.entries.length, 500);
  world.socket.says({ type: "metrics", id: 1, metrics: [], cursor: "x".repeat(5_000_000) });
  const { bytes, text } = log.entries[log.entries.length - 1];
  assert.ok(bytes > 5_000_000);
  assert.ok(text.length < 2_100);
});

test("in a pause nothing is recorded, and it is said how much", () => {
  const { world, client } = liveWorld();
  const log = inspected(world, client);
  log.pause(true);
  for (let i = 0; i < 3; i += 1) world.socket.says({ type: "heartbeat", server_ms: START_MS });
  assert.deepEqual([log.entries.length, log.missed], [0, 3]);
  log.pause(false);
  world.socket.says({ type: "heartbeat", server_ms: START_MS });
  assert.deepEqual([log.entries.length, log.missed], [1, 0]);
});

test("all words of the filter must occur; an export has a line for each frame", () => {
  const { world, client } = liveWorld();
  const log = inspected(world, client);
  client.watchQuery(PARAMS, new Viewer().handlers);
  world.socket.says({ type: "heartbeat", server_ms: START_MS });
  const found = (/** @type {string} */ words) => log.entries.filter((entry) => matches(entry, words)).length;
  assert.deepEqual([found(""), found("OUT watch"), found("#1"), found("in watch"), found("server_ms")], [2, 1, 1, 0, 1]);
  const lines = jsonLines(log.entries).trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines.map(({ type, time }) => [type, time]), [
    ["watch", new Date(START_MS).toISOString()],
    ["heartbeat", new Date(START_MS).toISOString()],
  ]);
});
