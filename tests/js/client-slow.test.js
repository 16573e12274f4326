// A page that reads too slowly: what it tells the server, and what it tells people.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PARAMS, Viewer, liveWorld, snapshot, update } from "./viewer.js";
import { START_MS, World } from "./world.js";

/** @param {number} ackMs */
function acknowledging(ackMs) {
  const world = new World();
  const client = world.client();
  world.socket.welcome({ ack_ms: ackMs });
  return { world, client };
}

/** @param {World} world */
function heartbeat(world) {
  world.socket.says({ type: "heartbeat", server_ms: START_MS + world.ms });
}

test("a server that does not ask for it is told nothing of what arrived", () => {
  const { world } = liveWorld();
  for (let i = 0; i < 5; i += 1) heartbeat(world);
  world.pass(4000);
  assert.deepEqual(world.socket.requests("ack"), []);
});

test("all messages of a socket are acknowledged, at most once in the time that the server gave", () => {
  const { world } = acknowledging(100);
  assert.deepEqual(world.socket.requests("ack"), [{ type: "ack", frames: 1 }]);
  for (let i = 0; i < 7; i += 1) heartbeat(world);
  world.socket.saysRaw("nonsense");
  assert.equal(world.socket.requests("ack").length, 1);
  world.pass(100);
  assert.deepEqual(world.socket.requests("ack")[1], { type: "ack", frames: 9 });
  world.pass(1000);
  assert.equal(world.socket.requests("ack").length, 2, "nothing new, nothing said");
  heartbeat(world);
  assert.deepEqual(world.socket.requests("ack")[2], { type: "ack", frames: 10 });
});

test("an acknowledgement that cannot leave yet is replaced by the newer one", () => {
  const { world } = acknowledging(100);
  world.socket.bufferedAmount = 1_000_000;
  for (let i = 0; i < 5; i += 1) {
    heartbeat(world);
    world.pass(100);
  }
  world.socket.bufferedAmount = 0;
  world.pass(100);
  assert.deepEqual(world.socket.requests("ack").map(({ frames }) => frames), [1, 6]);
});

test("a new connection counts anew", () => {
  const { world } = acknowledging(100);
  for (let i = 0; i < 5; i += 1) heartbeat(world);
  world.socket.drops(1012);
  world.pass(1000);
  assert.deepEqual(world.sockets[0].requests("ack").map(({ frames }) => frames), [1]);
  world.socket.welcome({ ack_ms: 100 });
  assert.deepEqual(world.socket.requests("ack"), [{ type: "ack", frames: 1 }]);
});

test("merged updates are shown as such until five seconds have passed without one", () => {
  const { world, client } = liveWorld();
  const watch = client.watchQuery(PARAMS, new Viewer().handlers);
  world.socket.says(snapshot(watch.id, [1000], [1]));
  assert.equal(client.status.slow, undefined);
  /** @type {(string | undefined)[]} */
  const seen = [];
  client.addEventListener("status", () => seen.push(client.status.slow));
  world.socket.says({ ...update(watch.id, [2000, 3000], [2, 3]), conflated: true });
  world.pass(4000);
  world.socket.says({ ...update(watch.id, [4000, 5000], [4, 5]), conflated: true });
  world.passWithHeartbeats(4000);
  assert.equal(client.status.slow, "merged");
  assert.equal(client.status.state, "live");
  world.passWithHeartbeats(1000);
  assert.equal(client.status.slow, undefined);
  assert.deepEqual(seen, ["merged", undefined], "nobody is told what has not changed");
});

test("a page that was closed for being too slow says so, comes back, and says it a while longer", () => {
  const { world, client } = liveWorld();
  world.socket.drops(4408, "nothing was read for 10 s");
  assert.equal(client.status.state, "reconnecting");
  assert.equal(client.status.slow, "closed");
  assert.match(client.status.detail, /too slow to read/);
  world.pass(1000);
  world.socket.drops(1006);
  assert.equal(client.status.slow, "closed", "another failure does not hide the first reason");
  world.pass(5000);
  world.socket.welcome();
  assert.deepEqual([client.status.state, client.status.slow], ["live", "closed"]);
  world.passWithHeartbeats(5000);
  assert.deepEqual([client.status.state, client.status.slow], ["live", undefined]);
});
