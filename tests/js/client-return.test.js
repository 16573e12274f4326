// The live client coming back after a break: when, and with what.

import assert from "node:assert/strict";
import { test } from "node:test";

import { CLOSE } from "../../static/js/protocol.js";
import { PARAMS, Viewer, liveWorld, snapshot, update } from "./viewer.js";
import { START_MS } from "./world.js";

test("after a break the page asks with the same ids and cursors, and fills its gap", () => {
  const { world, client } = liveWorld();
  const viewer = new Viewer();
  client.watchQuery(PARAMS, viewer.handlers);
  client.watchEvents({}, { onEvents() {} });
  world.socket.says(snapshot(1, [START_MS], [1]));
  world.socket.says(update(1, [START_MS + 1000], [2], "e1:9"));
  world.socket.says({ type: "events", id: 2, events: [], cursor: "e1:4" });
  world.socket.drops(1006);
  assert.equal(client.status.state, "reconnecting");
  assert.match(client.status.detail, /broke off/);
  world.pass(500);
  world.socket.welcome();
  assert.deepEqual(world.socket.received.map((f) => [f.type, f.id, f.cursor]), [
    ["watch", 1, "e1:9"],
    ["watch_events", 2, "e1:4"],
  ]);
  world.socket.says(update(1, [START_MS + 2000, START_MS + 3000], [3, 4], "e1:11"));
  assert.deepEqual(viewer.picture.values, [[1, 2, 3, 4]]);
  assert.equal(client.stats.reconnects, 1);
  assert.equal(client.status.state, "live");
});

test("a snapshot after a break replaces the picture but does not take it back in time", () => {
  const { world, client } = liveWorld();
  const viewer = new Viewer();
  client.watchQuery(PARAMS, viewer.handlers);
  world.socket.says(snapshot(1, [START_MS, START_MS + 1000, START_MS + 2000], [1, 2, 3]));
  world.socket.drops(1012);
  world.pass(500);
  world.socket.welcome();
  world.socket.says(snapshot(1, [START_MS - 1000, START_MS, START_MS + 1000], [0, 10, 20], "e2:1"));
  assert.deepEqual(viewer.picture.values, [[0, 10, 20, 3]]);
});

test("'resync' comes back without cursors", () => {
  const { world, client } = liveWorld();
  client.watchQuery(PARAMS, new Viewer().handlers);
  world.socket.says(snapshot(1, [START_MS], [1], "e1:5"));
  world.socket.drops(CLOSE.RESYNC);
  world.pass(500);
  world.socket.welcome();
  assert.equal(world.socket.received[0].cursor, null);
});

test("a range changed during a break is what is asked for afterwards", () => {
  const { world, client } = liveWorld();
  const viewer = new Viewer();
  const watch = client.watchQuery(PARAMS, viewer.handlers);
  world.socket.says(snapshot(1, [START_MS + 5000], [1]));
  world.socket.drops(1006);
  watch.update({ rangeMs: 10_000, endMs: START_MS });
  world.pass(500);
  world.socket.welcome();
  assert.equal(world.socket.received.length, 1);
  const [asked] = world.socket.received;
  assert.deepEqual([asked.id, asked.range_ms, asked.end_ms, asked.cursor], [1, 10_000, START_MS, null]);
  world.socket.says(snapshot(1, [START_MS], [2]));
  assert.deepEqual(viewer.picture, { times: [START_MS], values: [[2]] });
});

for (const code of [1000, 1001, 1005, 1006, 1011, 1012, 4408, 4410, 4413]) {
  test(`after close code ${code} the page comes back within half a second, and says what happened`, () => {
    const { world, client } = liveWorld();
    world.passWithHeartbeats(6_000);
    world.socket.drops(code);
    assert.equal(client.status.state, "reconnecting");
    assert.match(client.status.detail, /^[A-Z].{10,}\.$/);
    world.pass(500);
    assert.equal(world.sockets.length, 2);
  });
}

test("a message that was refused is not repeated in a hurry", () => {
  const { world } = liveWorld();
  world.socket.drops(CLOSE.BAD_MESSAGE);
  world.pass(4_999);
  assert.equal(world.sockets.length, 1);
  world.pass(5_001);
  assert.equal(world.sockets.length, 2);
});

test("attempts become rarer while the server is away, and quick again once it has held", () => {
  const { world } = liveWorld();
  world.randomValue = 0.999;
  /** @type {number[]} */
  const waits = [];
  for (let attempt = 0; attempt < 7; attempt += 1) {
    const before = world.ms;
    const sockets = world.sockets.length;
    world.socket.drops(1006);
    while (world.sockets.length === sockets) world.pass(10);
    waits.push(world.ms - before);
  }
  assert.deepEqual(waits.map((ms) => Math.round(ms / 100) / 10), [0.5, 1, 2, 4, 8, 10, 10]);
  world.socket.welcome();
  world.passWithHeartbeats(6_000);
  world.socket.drops(1006);
  world.pass(500);
  assert.equal(world.sockets.length, 9);
});

test("a server that welcomes and drops at once is not hammered", () => {
  const { world } = liveWorld();
  world.randomValue = 0.999;
  const begin = world.ms;
  for (let attempt = 0; attempt < 6; attempt += 1) {
    const sockets = world.sockets.length;
    world.socket.drops(1011);
    while (world.sockets.length === sockets) world.pass(10);
    world.socket.welcome();
  }
  assert.ok(world.ms - begin > 20_000, `${world.ms - begin} ms`);
});

test("a server that says goodbye decides when each page comes back", () => {
  const { world, client } = liveWorld();
  world.socket.says({ type: "bye", code: 1012, reason: "restarting", retry_ms: [2000, 8000] });
  assert.equal(client.status.state, "live");
  world.socket.drops(1012, "restarting");
  assert.match(client.status.detail, /restarting/);
  assert.equal(client.status.retryAtMs, START_MS + 5000);
  world.pass(1_000);
  world.page?.("visible");
  world.pass(999);
  assert.equal(world.sockets.length, 1);
  world.pass(1);
  assert.equal(world.sockets.length, 2);
});

test("a goodbye that no close follows is taken at its word", () => {
  const { world, client } = liveWorld();
  world.socket.says({ type: "bye", code: 4401, reason: "signed out", retry_ms: [0, 0] });
  world.pass(2_000);
  assert.notEqual(world.sockets[0].closedByClient, null);
  assert.equal(client.status.state, "signed-out");
});

test("a goodbye with a senseless window is treated like none", () => {
  for (const retry_ms of [null, [], ["soon"], [-5, -1], { min: 1 }, [Infinity]]) {
    const { world } = liveWorld();
    world.socket.says({ type: "bye", code: 1012, reason: "", retry_ms });
    world.socket.drops(1012);
    world.pass(500);
    assert.equal(world.sockets.length, 2, JSON.stringify(retry_ms));
  }
});

test("the network's return and the reader's look bring the page back at once", () => {
  for (const change of /** @type {const} */ (["online", "visible"])) {
    const { world } = liveWorld();
    world.socket.drops(1006);
    for (let i = 0; i < 5; i += 1) {
      world.pass(10_000);
      world.socket.drops(1006);
    }
    const before = world.sockets.length;
    world.page?.(change);
    world.pass(0);
    assert.equal(world.sockets.length, before + 1, change);
  }
});
