// The live client told "no", or told nonsense: it says so and harms nothing else.

import assert from "node:assert/strict";
import { test } from "node:test";

import { CLOSE } from "../../static/js/protocol.js";
import { PARAMS, Viewer, liveWorld, snapshot, update } from "./viewer.js";
import { START_MS } from "./world.js";

// Refusals

test("someone who is signed out is told so, and the page stays away until they sign in", () => {
  const { world, client } = liveWorld();
  world.socket.drops(CLOSE.UNAUTHENTICATED, "signed out");
  assert.equal(client.status.state, "signed-out");
  assert.match(client.status.detail, /Sign in/);
  world.page?.("online");
  world.page?.("visible");
  world.pass(600_000);
  assert.equal(world.sockets.length, 1);
  assert.equal(client.status.state, "signed-out");
  client.reconnect();
  assert.equal(world.sockets.length, 2);
  assert.equal(client.status.state, "offline");
  world.socket.welcome();
  assert.equal(client.status.state, "live");
});

for (const code of [CLOSE.FORBIDDEN, CLOSE.NOT_FOUND]) {
  test(`close code ${code} is final and says why`, () => {
    const { world, client } = liveWorld();
    world.socket.drops(code, "this origin is not allowed");
    assert.equal(client.status.state, "offline");
    assert.match(client.status.detail, /The server says: this origin is not allowed/);
    assert.equal(client.status.retryAtMs, null);
    world.page?.("online");
    world.pass(600_000);
    assert.equal(world.sockets.length, 1);
  });
}

test("after 'rate limited' nobody comes back before the wait in the reason", () => {
  const { world } = liveWorld();
  world.socket.drops(CLOSE.RATE_LIMITED, "too many connections; retry_ms=20000");
  world.page?.("online");
  world.page?.("visible");
  world.pass(19_999);
  assert.equal(world.sockets.length, 1);
  world.pass(1_000);
  assert.equal(world.sockets.length, 2);
});

test("a bad expression is told to its own panel and is not asked for again", () => {
  const { world, client } = liveWorld();
  const good = new Viewer();
  const bad = new Viewer();
  client.watchQuery(PARAMS, good.handlers);
  client.watchQuery({ ...PARAMS, expr: "topk(" }, bad.handlers);
  world.socket.says({ type: "error", id: 2, code: "bad_expression", message: "no topk yet" });
  world.socket.says(snapshot(1, [START_MS], [1]));
  world.passWithHeartbeats(60_000);
  assert.deepEqual(bad.errors, [{ code: "bad_expression", message: "no topk yet" }]);
  assert.deepEqual(good.kinds, ["snapshot"]);
  assert.equal(world.socket.requests("watch").length, 2);
});

test("an error that may pass is followed by asking again, ever more slowly", () => {
  const { world, client } = liveWorld();
  const viewer = new Viewer();
  client.watchQuery(PARAMS, viewer.handlers);
  world.socket.says({ type: "error", id: 1, code: "internal", message: "our mistake" });
  world.passWithHeartbeats(2_000);
  assert.deepEqual(world.socket.requests("watch").map((f) => f.id), [1, 2]);
  world.socket.says({ type: "error", id: 2, code: "rate_limited", message: "wait 10 s" });
  world.passWithHeartbeats(10_000);
  assert.equal(world.socket.requests("watch").length, 2);
  world.passWithHeartbeats(3_000);
  assert.deepEqual(world.socket.requests("watch").map((f) => f.id), [1, 2, 3]);
  assert.equal(viewer.errors.length, 2);
});

test("errors in a row for one watch lead to one new question", () => {
  const { world, client } = liveWorld();
  client.watchQuery(PARAMS, new Viewer().handlers);
  for (let i = 0; i < 3; i += 1) {
    world.socket.says({ type: "error", id: 1, code: "internal", message: "our mistake" });
  }
  world.passWithHeartbeats(10_000);
  assert.deepEqual(world.socket.requests("watch").map((f) => f.id), [1, 2]);
});

// Frames that make no sense

test("frames that cannot be read are counted, complained about once and otherwise harmless", () => {
  const { world, client } = liveWorld();
  const viewer = new Viewer();
  client.watchQuery(PARAMS, viewer.handlers);
  const nonsense = ["", "{", "null", "7", '"x"', new ArrayBuffer(4), undefined];
  for (const data of nonsense) world.socket.saysRaw(data);
  for (const frame of [[], {}, { type: "hologram" }, { type: "hologram" }, { type: "update", id: 99 }]) {
    world.socket.says(frame);
  }
  assert.equal(client.stats.ignored, nonsense.length + 5);
  assert.equal(world.warnings.length, 4);
  world.socket.says(snapshot(1, [START_MS], [1]));
  assert.deepEqual(viewer.kinds, ["snapshot"]);
  assert.equal(client.status.state, "live");
});

test("a panel that throws while drawing does not take the others with it", () => {
  const { world, client } = liveWorld();
  client.watchQuery(PARAMS, {
    onData() {
      throw new Error("cannot draw");
    },
  });
  const viewer = new Viewer();
  client.watchQuery(PARAMS, viewer.handlers);
  world.socket.says(snapshot(1, [START_MS], [1]));
  world.socket.says(snapshot(2, [START_MS], [1]));
  world.socket.says(update(1, [START_MS + 1000], [2]));
  world.socket.says(update(2, [START_MS + 1000], [2]));
  assert.deepEqual(viewer.kinds, ["snapshot", "update"]);
  assert.equal(world.warnings.length, 2);
});

test("an update that does not continue the picture leads to a fresh snapshot, the old stays", () => {
  const { world, client } = liveWorld();
  const viewer = new Viewer();
  client.watchQuery(PARAMS, viewer.handlers);
  world.socket.says(snapshot(1, [START_MS], [1]));
  world.socket.says({ type: "update", id: 1, times: [START_MS + 1000], values: [[2], [3]], cursor: "x" });
  world.socket.says({ type: "update", id: 1, times: [START_MS + 2000], values: [[2], [3]], cursor: "y" });
  assert.deepEqual(viewer.picture.values, [[1]]);
  world.passWithHeartbeats(1_000);
  assert.equal(client.resyncs, 1);
  const asked = world.socket.requests("watch").at(-1);
  assert.equal(asked.id, 2);
  assert.equal(asked.cursor, null);
  world.socket.says(snapshot(2, [START_MS, START_MS + 1000], [1, 5]));
  assert.deepEqual(viewer.picture.values, [[1, 5]]);
});
