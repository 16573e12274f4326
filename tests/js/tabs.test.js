// Tabs that share a connection: when they cannot, when one or the worker ends, and when all is well.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Browser, twoTabs } from "./tabsworld.js";
import { PARAMS, Viewer, snapshot, update } from "./viewer.js";
import { START_MS } from "./world.js";

// A worker that cannot be had

for (const fate of /** @type {const} */ (["forbidden", "missing"])) {
  test(`where the worker is ${fate} each tab is live over a socket of its own`, () => {
    const browser = new Browser();
    browser.fate = fate;
    const tabs = [browser.tab(), browser.tab(), browser.tab()];
    for (const socket of browser.sockets) socket.welcome();
    assert.deepEqual(tabs.map(({ client }) => client.status.state), ["live", "live", "live"]);
    assert.equal(browser.sockets.length, 3);
    assert.deepEqual(tabs[0].states, ["connecting", "live"]);
    browser.world.sockets[2].drops(1006);
    browser.world.pass(500);
    browser.world.socket.welcome();
    assert.equal(tabs[2].client.status.state, "live");
    assert.equal(browser.world.sockets.length, 4);
    assert.deepEqual(browser.world.warnings, []);
  });
}

test("a worker that does not answer is waited for no longer than a second, and then no more", () => {
  const browser = new Browser();
  browser.fate = "deaf";
  const first = browser.tab();
  browser.world.socket.welcome();
  const second = browser.tab();
  browser.world.pass(999);
  assert.equal(browser.sockets.length, 1);
  browser.world.pass(1);
  browser.world.socket.welcome();
  assert.equal(second.client.status.state, "live");
  browser.beat(11);
  assert.equal(first.client.status.state, "live");
  assert.equal(browser.sockets.length, 2);
  const asked = second.ports.length;
  browser.world.socket.drops(1006);
  browser.world.pass(500);
  browser.world.socket.welcome();
  assert.equal(second.client.status.state, "live");
  assert.equal(second.ports.length, asked);
});

test("a worker that is only slow to load is joined when it is there", () => {
  const browser = new Browser();
  const first = browser.tab();
  browser.world.socket.welcome();
  browser.fate = "deaf";
  const second = browser.tab();
  browser.fate = "runs";
  browser.world.pass(1_000);
  const [, own, shared] = browser.world.sockets;
  own.welcome();
  shared.welcome();
  browser.settle();
  assert.equal(second.client.status.state, "live");
  assert.equal(own.closedByClient?.code, 1000);
  assert.equal(first.client.status.state, "live");
});

test("a page opens its socket itself when only the worker cannot", () => {
  const browser = new Browser();
  browser.workerIsOffline = true;
  const first = browser.tab();
  browser.world.socket.welcome();
  const second = browser.tab();
  browser.world.pass(500);
  browser.world.socket.welcome();
  assert.equal(second.client.status.state, "live");
  assert.deepEqual(first.states, ["connecting", "live"]);
});

test("a page that was only just left is no other tab", () => {
  const browser = new Browser();
  const before = browser.tab();
  browser.world.socket.welcome();
  before.alive = false;
  const after = browser.tab("ann");
  before.dies();
  browser.settle();
  browser.world.socket.welcome();
  assert.equal(after.client.status.state, "live");
  assert.equal(browser.sockets.length, 2, "the page's that was left, and the new one's own");
});

// Two sessions

test("tabs of two sessions never share, and none sees what is the other's", () => {
  const browser = new Browser();
  const ann = [browser.tab("ann"), browser.tab("ann")];
  const ben = [browser.tab("ben"), browser.tab("ben")];
  assert.equal(browser.workers.size, 2);
  for (const socket of browser.sockets) socket.welcome();
  browser.settle();
  for (const { client } of [...ann, ...ben]) assert.equal(client.status.state, "live");
  const viewers = [...ann, ...ben].map(({ client }) => {
    const viewer = new Viewer();
    client.watchQuery(PARAMS, viewer.handlers);
    return viewer;
  });
  browser.settle();
  const watched = browser.sockets.filter((socket) => socket.requests("watch").length > 0);
  assert.deepEqual(watched.map((socket) => socket.requests("watch").length), [2, 2]);
  for (const id of [1, 2]) watched[0].says(snapshot(id, [START_MS], [47]));
  browser.settle();
  assert.deepEqual(viewers.map(({ kinds }) => kinds.length), [1, 1, 0, 0]);
  watched[0].drops(4401, "signed out");
  browser.settle();
  assert.deepEqual(
    [...ann, ...ben].map(({ client }) => client.status.state),
    ["signed-out", "signed-out", "live", "live"],
  );
});

// The end of a tab, and of the worker

test("a tab that crashes stops watching, and the others go on", () => {
  const { browser, first, second, socket } = twoTabs();
  const viewer = new Viewer();
  first.client.watchQuery(PARAMS, new Viewer().handlers);
  second.client.watchQuery(PARAMS, viewer.handlers);
  browser.settle();
  first.dies();
  browser.settle();
  assert.deepEqual(socket.requests("unwatch"), [{ type: "unwatch", id: 1 }]);
  socket.says(snapshot(1, [START_MS], [1]));
  socket.says(snapshot(2, [START_MS], [2]));
  browser.settle();
  assert.deepEqual(viewer.picture.values, [[2]]);
  assert.equal(socket.closedByClient, null);
});

test("with its last tab the socket closes", () => {
  const { browser, first, second, socket } = twoTabs();
  first.dies();
  second.dies();
  browser.settle();
  assert.deepEqual(socket.closedByClient, { code: 1000, reason: "the last tab was left" });
});

test("a tab that leaves in order is gone at once", () => {
  const { browser, first, second, socket } = twoTabs();
  first.client.watchQuery(PARAMS, new Viewer().handlers);
  browser.settle();
  first.client.close();
  browser.settle();
  assert.deepEqual(socket.requests("unwatch").length, 1);
  assert.equal(second.client.status.state, "live");
});

test("when the worker crashes every tab is told, and the next worker has one socket for all", () => {
  const { browser, world, first, second } = twoTabs();
  browser.killWorker("ann");
  browser.settle();
  assert.deepEqual([first.client.status.state, second.client.status.state], ["reconnecting", "reconnecting"]);
  const before = world.sockets.length;
  world.pass(500);
  assert.equal(world.sockets.length, before + 1);
  world.socket.welcome();
  browser.settle();
  assert.deepEqual([first.client.status.state, second.client.status.state], ["live", "live"]);
});

// All is well

test("one tab has a socket of its own, and no worker is started", () => {
  const browser = new Browser();
  const { client, states } = browser.tab();
  browser.world.socket.welcome();
  assert.equal(client.status.state, "live");
  assert.deepEqual(states, ["connecting", "live"]);
  assert.equal(browser.workers.size, 0);
});

test("with the second tab comes one socket for both, and the first takes its cursors along", () => {
  const browser = new Browser();
  const first = browser.tab();
  const own = browser.world.socket;
  own.welcome();
  const viewer = new Viewer();
  first.client.watchQuery(PARAMS, viewer.handlers);
  own.says(snapshot(1, [START_MS], [1], "e1:7"));
  const second = browser.tab();
  assert.equal(own.closedByClient, null, "not before the other connection is open");
  const shared = browser.world.socket;
  shared.welcome();
  browser.settle();
  assert.deepEqual(own.closedByClient?.code, 1000);
  assert.deepEqual(browser.sockets, [shared]);
  assert.deepEqual(shared.received.map(({ cursor }) => cursor), ["e1:7"]);
  shared.says(update(1, [START_MS + 1000], [2], "e1:8"));
  browser.settle();
  assert.deepEqual(viewer.picture.values, [[1, 2]]);
  assert.equal(second.client.status.state, "live");
  browser.beat(10);
  assert.equal(shared.closedByClient, null);
});

test("a third tab is live without a handshake, by the server's clock as it is now", () => {
  const { browser, world } = twoTabs();
  browser.beat(60);
  const before = world.sockets.length;
  const third = browser.tab();
  assert.equal(third.client.status.state, "live");
  assert.equal(third.client.serverNow(), START_MS + world.ms);
  assert.equal(world.sockets.length, before);
  assert.equal(third.client.limits?.watches, 100);
});

test("an hour of heartbeats leaves nothing behind, in the tabs and on their way", () => {
  const { browser, first, second } = twoTabs();
  browser.beat(3_600);
  assert.deepEqual([first.client.status.state, second.client.status.state], ["live", "live"]);
  assert.deepEqual(second.ports.map(({ waiting }) => waiting), second.ports.map(() => 0));
  assert.ok(browser.world.timers.size < 20, `${browser.world.timers.size} timers`);
});

test("a page over SSE stays where it is when another tab comes", () => {
  const browser = new Browser();
  const first = browser.tab();
  browser.world.fallbacks = [];
  browser.world.socket.drops(1006);
  const second = browser.tab();
  browser.world.pass(600);
  for (const socket of browser.sockets) socket.welcome();
  browser.settle();
  assert.equal(second.client.status.state, "live");
  assert.equal(first.client.status.state, "live");
});
