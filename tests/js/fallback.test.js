// Which way the page goes when a WebSocket cannot be opened, and how it comes back.

import assert from "node:assert/strict";
import { test } from "node:test";

import { statusWords } from "../../static/js/statuslight.js";
import { CLOSE } from "../../static/js/protocol.js";
import { PARAMS, Viewer, snapshot } from "./viewer.js";
import { FakeSocket, START_MS, World } from "./world.js";

const MINUTE_MS = 60_000;

/** A page on whose way something strips the Upgrade header: every socket fails. */
class StrictWorld extends World {
  /** What was opened in its order: "socket", "SSE", "polling". @type {string[]} */
  opened = [];

  constructor() {
    super();
    this.fallbacks = ["SSE", "polling"].map((label) => ({
      label,
      open: (/** @type {{url: string}} */ { url }) => {
        this.opened.push(label);
        const socket = new FakeSocket(url, [label]);
        this.sockets.push(socket);
        return socket;
      },
    }));
  }

  get environment() {
    const { openSocket, ...rest } = super.environment;
    return {
      ...rest,
      openSocket: (/** @type {string} */ url, /** @type {string[]} */ protocols) => {
        this.opened.push("socket");
        return openSocket(url, protocols);
      },
    };
  }

  /** The newest attempt fails, and the next one begins. @param {number} [times] */
  fails(times = 1) {
    for (let i = 0; i < times; i += 1) {
      this.socket.drops(1006);
      this.pass(10_000);
    }
  }
}

/** A page that is live over SSE. */
function streaming() {
  const world = new StrictWorld();
  const client = world.client();
  world.fails(2);
  world.socket.welcome();
  return { world, client };
}

test("after two sockets that never opened come SSE, then polling, then sockets again", () => {
  const world = new StrictWorld();
  world.client();
  world.fails(6);
  assert.deepEqual(world.opened, ["socket", "socket", "SSE", "polling", "socket", "socket", "SSE"]);
});

test("the light says which way the page is live", () => {
  const { client } = streaming();
  assert.equal(client.status.state, "live");
  assert.equal(statusWords(client.status, START_MS), "Live (over SSE)");
});

test("a page that is live by a socket says nothing of it", () => {
  const world = new StrictWorld();
  const client = world.client();
  world.socket.welcome();
  assert.equal(statusWords(client.status, START_MS), "Live");
  assert.equal(world.remembered, null);
});

test("a socket that was open once is what the page comes back with, however long it takes", () => {
  const world = new StrictWorld();
  world.client();
  world.socket.welcome();
  world.fails(5);
  assert.deepEqual(new Set(world.opened), new Set(["socket"]));
});

for (const code of [1012, CLOSE.RATE_LIMITED, CLOSE.BAD_MESSAGE]) {
  test(`a close with the code ${code} is no reason to go another way`, () => {
    const world = new StrictWorld();
    world.client();
    for (let i = 0; i < 3; i += 1) {
      world.socket.open();
      world.socket.drops(code);
      world.pass(MINUTE_MS);
    }
    assert.deepEqual(new Set(world.opened), new Set(["socket"]));
  });
}

test("a refusal by the server itself does not lead to the next way", () => {
  const world = new StrictWorld();
  const client = world.client();
  world.fails(2);
  world.socket.drops(CLOSE.UNAUTHENTICATED, "signed out");
  assert.equal(client.status.state, "signed-out");
  client.reconnect();
  assert.deepEqual(world.opened, ["socket", "socket", "SSE", "SSE"]);
});

test("a stream that opens and then is held back gives way to polling", () => {
  const { world } = streaming();
  world.pass(5_500);
  world.socket.welcome();
  world.pass(5_500);
  world.pass(10_000);
  assert.equal(world.opened[world.opened.length - 1], "polling");
});

test("a stream that breaks comes back as a stream, with its cursors", () => {
  const { world, client } = streaming();
  client.watchQuery(PARAMS, new Viewer().handlers);
  world.socket.says(snapshot(1, [START_MS], [1], "e1:5"));
  world.fails(3);
  assert.deepEqual(world.opened.slice(2), ["SSE", "SSE", "SSE", "SSE"]);
  world.socket.welcome();
  assert.equal(world.socket.received[0].cursor, "e1:5");
});

test("the next page of the tab begins with what worked", () => {
  const { world } = streaming();
  const next = new StrictWorld();
  next.remembered = world.remembered;
  next.client();
  assert.deepEqual(next.opened, ["SSE"]);
});

test("a way that is not known any more is not remembered", () => {
  const world = new StrictWorld();
  world.remembered = { label: "carrier pigeon", sinceMs: START_MS };
  world.client();
  assert.deepEqual(world.opened, ["socket"]);
});

test("after five minutes a socket is tried beside the stream, and taken when it opens", () => {
  const { world, client } = streaming();
  client.watchQuery(PARAMS, new Viewer().handlers);
  world.socket.says(snapshot(1, [START_MS], [1], "e1:5"));
  const stream = world.socket;
  for (let s = 0; s < 300; s += 1) {
    world.pass(1_000);
    stream.says({ type: "heartbeat", server_ms: START_MS + world.ms });
  }
  const probe = world.socket;
  assert.notEqual(probe, stream);
  assert.equal(client.status.state, "live");
  probe.open();
  assert.equal(probe.closedByClient?.code, 1000);
  assert.notEqual(stream.closedByClient, null);
  world.pass(0);
  world.socket.welcome();
  assert.equal(statusWords(client.status, START_MS), "Live");
  assert.equal(world.socket.received[0].cursor, "e1:5");
  assert.equal(world.remembered, null);
});

test("a socket that still does not open disturbs nothing, and is tried again later", () => {
  const { world, client } = streaming();
  const stream = world.socket;
  for (let s = 0; s < 620; s += 1) {
    world.pass(1_000);
    stream.says({ type: "heartbeat", server_ms: START_MS + world.ms });
    if (world.socket !== stream && s % 7 === 0) world.socket.drops(1006);
  }
  assert.deepEqual(world.opened.slice(3), ["socket", "socket"]);
  assert.equal(client.status.via, "SSE");
});

test("the time to try a socket again goes on from page to page", () => {
  const world = new StrictWorld();
  world.remembered = { label: "polling", sinceMs: START_MS - 4 * MINUTE_MS };
  world.client();
  world.socket.welcome();
  world.passWithHeartbeats(MINUTE_MS);
  assert.deepEqual(world.opened, ["polling", "socket"]);
});

test("a new network is a reason to try a socket at once", () => {
  const { world } = streaming();
  world.page?.("online");
  world.pass(0);
  assert.deepEqual(world.opened.slice(2), ["SSE", "socket"]);
});

test("a page that is done leaves nothing behind", () => {
  const { world, client } = streaming();
  world.page?.("online");
  world.pass(0);
  client.close();
  assert.ok(world.sockets.slice(2).every((socket) => socket.closedByClient !== null));
  assert.equal(world.timers.size, 0);
});
