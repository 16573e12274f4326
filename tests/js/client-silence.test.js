// The live client when nothing moves: silence, no network, a full buffer, the end.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PARAMS, Viewer, liveWorld } from "./viewer.js";
import { START_MS, World } from "./world.js";

test("five seconds without any frame are shown, and the dead connection is left", () => {
  const { world, client } = liveWorld();
  world.passWithHeartbeats(30_000);
  assert.equal(client.status.state, "live");
  world.pass(4_999);
  assert.equal(client.status.state, "live");
  world.pass(1);
  assert.equal(client.status.state, "reconnecting");
  assert.match(client.status.detail, /Nothing was heard/);
  assert.equal(world.sockets[0].closedByClient?.code, 4410);
  world.sockets[0].says({ type: "heartbeat", server_ms: START_MS });
  world.sockets[0].drops(1006);
  assert.equal(client.status.state, "reconnecting");
  world.pass(250);
  assert.equal(world.sockets.length, 2);
});

test("a page that was held up reads what has arrived before it judges the silence", () => {
  const { world, client } = liveWorld();
  world.freeze(8_000);
  world.pass(0);
  assert.equal(client.status.state, "live");
  world.socket.says({ type: "heartbeat", server_ms: START_MS });
  world.pass(4_000);
  assert.equal(client.status.state, "live");
  assert.equal(world.sockets.length, 1);
});

test("a laptop that wakes after an hour does not pretend to be live", () => {
  const { world, client } = liveWorld();
  world.freeze(3_600_000);
  world.page?.("visible");
  assert.equal(client.status.state, "reconnecting");
  world.pass(500);
  assert.equal(world.sockets.length, 2);
});

test("a server that does not answer the opening is given up and tried again", () => {
  const world = new World();
  const client = world.client();
  world.pass(10_000);
  assert.match(client.status.detail, /does not answer/);
  world.pass(500);
  assert.equal(world.sockets.length, 2);
});

test("a break of fifteen seconds is called offline, since the moment it began", () => {
  const { world, client } = liveWorld();
  world.passWithHeartbeats(5_000);
  const lostAt = START_MS + world.ms;
  for (let i = 0; i < 4; i += 1) {
    world.socket.drops(1006);
    world.pass(3_700);
  }
  assert.equal(client.status.state, "reconnecting");
  world.pass(200);
  assert.equal(client.status.state, "offline");
  assert.equal(client.status.since, lostAt);
  world.socket.welcome();
  assert.equal(client.status.state, "live");
  assert.equal(client.status.since, START_MS + world.ms);
});

test("a browser without a network is offline at once, but data that flows counts for more", () => {
  const { world, client } = liveWorld();
  world.online = false;
  world.page?.("offline");
  assert.equal(client.status.state, "live");
  world.socket.drops(1006);
  assert.equal(client.status.state, "offline");
  assert.match(client.status.detail, /no network/);
});

// Requests that wait

test("requests wait while the network does not take what was sent", () => {
  const { world, client } = liveWorld();
  world.socket.bufferedAmount = 65_537;
  client.watchQuery(PARAMS, new Viewer().handlers);
  client.watchQuery(PARAMS, new Viewer().handlers);
  world.pass(1_000);
  assert.equal(world.socket.received.length, 0);
  world.socket.bufferedAmount = 0;
  world.pass(50);
  assert.deepEqual(world.socket.received.map((f) => f.id), [1, 2]);
});

test("a reader who changes the range again and again is not cut off for asking too often", () => {
  const { world, client } = liveWorld();
  const viewers = Array.from({ length: 30 }, () => new Viewer());
  const watches = viewers.map((viewer) => client.watchQuery(PARAMS, viewer.handlers));
  let allowance = 150;
  let seen = 0;
  for (let tick = 0; tick < 200; tick += 1) {
    if (tick < 100) for (const watch of watches) watch.update({ rangeMs: 60_000 + tick * 1000 });
    world.pass(50);
    if (tick % 40 === 0) world.socket.says({ type: "heartbeat", server_ms: 0 });
    allowance = Math.min(150, allowance + 2.5) - (world.socket.received.length - seen);
    seen = world.socket.received.length;
    assert.ok(allowance > 0, `tick ${tick}`);
  }
  /** @type {Map<number, any>} */
  const open = new Map();
  for (const frame of world.socket.received) {
    if (frame.type === "watch") open.set(frame.id, frame);
    else assert.ok(open.delete(frame.id), "only what was asked for is taken back");
  }
  assert.equal(open.size, 30);
  assert.ok([...open.values()].every((frame) => frame.range_ms === 159_000));
});

test("requests that waited on a connection that broke are not sent twice on the next", () => {
  const { world, client } = liveWorld();
  world.socket.bufferedAmount = 1e6;
  client.watchQuery(PARAMS, new Viewer().handlers);
  world.socket.drops(1006);
  world.pass(500);
  world.socket.welcome();
  world.pass(1_000);
  assert.deepEqual(world.socket.received.map((f) => f.id), [1]);
});

// The end

test("a client that was closed leaves no timer, no listener and no socket behind", () => {
  const { world, client } = liveWorld();
  client.watchQuery(PARAMS, new Viewer().handlers);
  client.close();
  assert.equal(world.timers.size, 0);
  assert.equal(world.page, null);
  assert.equal(world.socket.closedByClient?.code, 1000);
  client.reconnect();
  assert.equal(world.sockets.length, 1);
});

test("a client that was closed while waiting does not come back", () => {
  const { world, client } = liveWorld();
  world.socket.drops(1006);
  client.close();
  world.pass(60_000);
  assert.equal(world.sockets.length, 1);
});

test("an address that the browser refuses is reported in words, not thrown", () => {
  const world = new World();
  const client = world.client({
    environment: {
      ...world.environment,
      openSocket() {
        throw new SyntaxError("no such scheme");
      },
    },
  });
  world.pass(1);
  assert.equal(client.status.state, "connecting");
  assert.match(client.status.detail, /cannot be reached/);
  assert.equal(world.warnings.length, 1);
});
