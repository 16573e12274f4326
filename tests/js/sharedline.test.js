// One socket for several tabs: its limits, slow tabs, and its end with every kind of code.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Tab } from "../../static/js/live/sharedtab.js";
import { encode } from "./binary.js";
import { states, twoTabs, watchBoth } from "./tabsworld.js";
import { PARAMS, Viewer, snapshot, update } from "./viewer.js";
import { START_MS, World } from "./world.js";

const SERIES = [{ labels: { job: "a" } }];

// Limits

test("a tab whose watches do not fit goes on with a socket of its own", () => {
  const tabs = twoTabs();
  const { browser, world, first, second, socket } = tabs;
  for (let i = 0; i < 60; i += 1) first.client.watchQuery(PARAMS, new Viewer().handlers);
  browser.settle();
  for (let i = 0; i < 60; i += 1) second.client.watchQuery(PARAMS, new Viewer().handlers);
  browser.settle();
  browser.beat(5);
  assert.equal(socket.requests("watch").length, 100);
  assert.equal(socket.requests("unwatch").length, 40);
  assert.notEqual(world.socket, socket);
  world.socket.welcome();
  browser.settle();
  assert.equal(world.socket.requests("watch").length, 60);
  assert.deepEqual(states(tabs), ["live", "live"]);
});

test("a tab that would hardly fit is not let in, and does not notice", () => {
  const { browser, world, first, second } = twoTabs();
  for (let i = 0; i < 40; i += 1) first.client.watchQuery(PARAMS, new Viewer().handlers);
  for (let i = 0; i < 40; i += 1) second.client.watchQuery(PARAMS, new Viewer().handlers);
  browser.settle();
  const third = browser.tab();
  world.socket.welcome();
  assert.deepEqual(third.states, ["connecting", "live"]);
  assert.equal(browser.sockets.length, 2);
});

test("one tab alone hears from the server that it watches too much", () => {
  const { browser, world, first, second, socket } = twoTabs();
  second.dies();
  browser.settle();
  for (let i = 0; i < 101; i += 1) first.client.watchQuery(PARAMS, new Viewer().handlers);
  browser.settle();
  world.pass(1_000);
  assert.equal(socket.requests("watch").length, 101);
});

test("a tab that takes nothing is cut off, and what waits for it stays bounded", () => {
  const tabs = twoTabs();
  const { browser, world, first, second, socket } = tabs;
  const [frozen, viewer] = watchBoth(tabs);
  socket.says(snapshot(1, [START_MS], [0]));
  socket.says(snapshot(2, [START_MS], [0]));
  browser.settle();
  first.freeze();
  for (let second = 1; second <= 600; second += 1) {
    world.pass(1_000);
    if (second % 2 === 0) socket.says({ type: "heartbeat", server_ms: START_MS + world.ms });
    for (const id of [1, 2]) socket.says(update(id, [START_MS + second * 1000], [second], `e1:${second}`));
    browser.settle();
  }
  assert.deepEqual(socket.requests("unwatch"), [{ type: "unwatch", id: 1 }]);
  assert.ok(first.ports.every(({ waiting }) => waiting < 50));
  assert.equal(viewer.store?.lastTimeMs, START_MS + 600_000);
  first.thaw();
  browser.settle();
  assert.match(first.client.status.detail, /too slow|heard/);
  world.pass(1_000);
  assert.notEqual(world.socket, socket);
  world.socket.welcome();
  browser.settle();
  const [{ cursor }] = world.socket.requests("watch");
  assert.equal(cursor, `e1:${(frozen.store?.lastTimeMs ?? 0) / 1000 - START_MS / 1000}`);
  assert.deepEqual(states(tabs), ["live", "live"]);
  assert.deepEqual(second.states.slice(-1), ["live"]);
});

test("a tab that keeps up is not cut off, however much it gets", () => {
  const tabs = twoTabs();
  const { browser, world, socket } = tabs;
  watchBoth(tabs);
  const times = Array.from({ length: 50_000 }, (_, i) => START_MS + i * 1000);
  for (let i = 0; i < 200; i += 1) {
    world.pass(100);
    socket.says({ type: "heartbeat", server_ms: START_MS + world.ms });
    socket.saysRaw(encode({ id: 1, series: SERIES, times, values: [times] }));
    browser.settle();
  }
  assert.deepEqual(states(tabs), ["live", "live"]);
  assert.equal(socket.requests("unwatch").length, 0);
});

test("marks go along twice a second, however many frames there are", () => {
  const world = new World();
  /** @type {any[]} */
  const sent = [];
  const port = { postMessage: (/** @type {any} */ message) => void sent.push(message), onmessage: null, close() {} };
  const tab = new Tab(world.environment, port);
  for (let i = 0; i < 100; i += 1) {
    tab.put("{}");
    world.pass(20);
  }
  assert.deepEqual(sent.filter(({ type }) => type === "mark").map(({ number }) => number), [1, 2, 3, 4]);
});

// The end of the socket

for (const [code, state] of /** @type {[number, string][]} */ ([
  [1006, "reconnecting"],
  [1011, "reconnecting"],
  [4408, "reconnecting"],
  [4413, "reconnecting"],
  [4429, "reconnecting"],
  [4401, "signed-out"],
  [4403, "offline"],
  [4404, "offline"],
])) {
  test(`a socket that ends with ${code} makes every tab ${state}`, () => {
    const tabs = twoTabs();
    const { browser, world, socket } = tabs;
    watchBoth(tabs);
    socket.says(snapshot(1, [START_MS], [1], "e1:3"));
    browser.settle();
    const before = world.sockets.length;
    socket.drops(code, "because");
    browser.settle();
    assert.deepEqual(states(tabs), [state, state]);
    world.pass(20_000);
    assert.equal(world.sockets.length > before, state === "reconnecting");
    if (state !== "reconnecting") return;
    world.socket.welcome();
    browser.settle();
    browser.beat(20);
    const asked = world.sockets.slice(before).flatMap((one) => one.requests("watch"));
    assert.deepEqual(asked.map(({ cursor }) => cursor).sort(), code === 4413 ? [null, null] : ["e1:3", null]);
  });
}

test("a server that says goodbye is left, and one socket comes back for both in its time", () => {
  const tabs = twoTabs();
  const { browser, world, socket } = tabs;
  watchBoth(tabs);
  const before = world.sockets.length;
  socket.says({ type: "bye", code: 1012, reason: "restarting", retry_ms: [1_000, 1_100] });
  browser.settle();
  socket.drops(1012, "restarting");
  browser.settle();
  assert.match(tabs.second.client.status.detail, /restarting/);
  world.pass(999);
  assert.equal(world.sockets.length, before);
  world.pass(101);
  assert.equal(world.sockets.length, before + 1);
  world.socket.welcome();
  browser.settle();
  assert.deepEqual(states(tabs), ["live", "live"]);
  assert.deepEqual(world.socket.requests("watch").map(({ id }) => id), [1, 2]);
});

test("a tab that comes while the server leaves gets another socket", () => {
  const { browser, world, socket } = twoTabs();
  socket.says({ type: "bye", code: 1012, reason: "restarting", retry_ms: [1_000, 1_100] });
  browser.settle();
  const third = browser.tab();
  assert.notEqual(world.socket, socket);
  world.socket.welcome();
  browser.settle();
  assert.equal(third.client.status.state, "live");
});

test("five seconds without any frame are noticed in each tab, and the dead socket is left", () => {
  const tabs = twoTabs();
  const { browser, world, socket } = tabs;
  world.pass(4_999);
  assert.deepEqual(states(tabs), ["live", "live"]);
  world.pass(2);
  assert.deepEqual(states(tabs), ["reconnecting", "reconnecting"]);
  assert.match(tabs.first.client.status.detail, /Nothing was heard/);
  assert.equal(socket.closedByClient?.code, 4410);
  world.pass(500);
  world.socket.welcome();
  browser.settle();
  assert.notEqual(world.socket, socket);
  assert.deepEqual(states(tabs), ["live", "live"]);
});

test("a tab that heard a little later than the worker says the silence in its own words", () => {
  const { browser, world, first, socket } = twoTabs();
  first.freeze();
  socket.says({ type: "heartbeat", server_ms: START_MS + world.ms });
  world.pass(10);
  first.thaw();
  browser.settle();
  world.pass(4_995);
  assert.equal(socket.closedByClient?.code, 4410);
  assert.equal(first.client.status.state, "live");
  world.pass(10);
  assert.match(first.client.status.detail, /Nothing was heard/);
});

test("a socket whose silence the worker was too busy to notice is not joined again", () => {
  const tabs = twoTabs();
  const { browser, world, socket } = tabs;
  browser.workers.get("ann")?.process.freeze();
  world.pass(6_000);
  browser.workers.get("ann")?.process.thaw();
  browser.settle();
  assert.deepEqual(states(tabs), ["reconnecting", "reconnecting"]);
  assert.equal(socket.closedByClient?.code, 4410);
  assert.notEqual(world.socket, socket);
});

test("while the server is away its tabs make one attempt at a time", () => {
  const tabs = twoTabs();
  const { browser, world, socket } = tabs;
  socket.drops(1006);
  browser.settle();
  for (let i = 0; i < 5; i += 1) {
    const before = world.sockets.length;
    world.pass(10_000);
    assert.equal(world.sockets.length, before + 1);
    world.socket.drops(1006);
    browser.settle();
  }
  world.pass(10_000);
  world.socket.welcome();
  browser.beat(10);
  assert.deepEqual(states(tabs), ["live", "live"]);
});

test("an attempt that one tab has given up is not joined: the network may be another", () => {
  const tabs = twoTabs();
  const { browser, world, socket } = tabs;
  socket.drops(1006);
  browser.settle();
  world.pass(500);
  const stuck = world.socket;
  world.page?.("online");
  world.pass(1);
  assert.notEqual(world.socket, stuck);
  world.socket.welcome();
  browser.settle();
  assert.equal(tabs.second.client.status.state, "live");
  stuck.welcome();
  browser.settle();
  assert.equal(tabs.first.client.status.state, "live");
});
