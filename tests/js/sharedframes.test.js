// One socket for several tabs: whose each frame is, whatever it says.

import assert from "node:assert/strict";
import { test } from "node:test";

import { encode } from "./binary.js";
import { twoTabs, watchBoth } from "./tabsworld.js";
import { PARAMS, Viewer, snapshot } from "./viewer.js";
import { START_MS } from "./world.js";

const SERIES = [{ labels: { job: "a" } }];

test("each tab hears what it asked for, under its own ids, and nothing else", () => {
  const tabs = twoTabs();
  const { browser, first, second, socket } = tabs;
  const [one, two] = watchBoth(tabs);
  assert.deepEqual(socket.requests("watch").map(({ id }) => id), [1, 2]);
  socket.says(snapshot(1, [START_MS], [47]));
  socket.says(snapshot(2, [START_MS], [11]));
  browser.settle();
  assert.deepEqual([one.picture.values, two.picture.values], [[[47]], [[11]]]);
  socket.says({ type: "error", code: "bad_expression", message: "no", id: 2 });
  browser.settle();
  assert.deepEqual([one.errors, two.errors], [[], [{ code: "bad_expression", message: "no" }]]);
  // With the error the watch has ended.
  socket.says(snapshot(2, [START_MS], [12]));
  browser.settle();
  assert.deepEqual(two.picture.values, [[11]]);
  assert.deepEqual([first.client.stats.ignored, second.client.stats.ignored], [0, 0]);
  assert.deepEqual(browser.world.warnings, []);
});

test("the answer to an annotation goes to the tab that made it", () => {
  const { browser, world, first, second, socket } = twoTabs();
  /** @type {[string, string][]} */
  const heard = [];
  for (const [name, { client }] of Object.entries({ first, second })) {
    client.tap = {
      opened() {},
      sent() {},
      ended() {},
      received: (_, frame) => void (frame && heard.push([name, frame.type])),
    };
  }
  void second.client.annotations.add("r1", { title: "deployed", text: "", timeMs: START_MS });
  browser.settle();
  assert.deepEqual(socket.requests("annotate").map(({ ref }) => ref), ["r1"]);
  socket.says({ type: "stored", ref: "r1" });
  socket.says({ type: "stored", ref: "nobody's" });
  browser.settle();
  assert.deepEqual(heard, [["second", "stored"]]);
  assert.deepEqual(world.warnings, []);
});

test("a binary frame is given away, not copied, and its numbers stay where they are", () => {
  const tabs = twoTabs();
  const { browser, socket } = tabs;
  const [, two] = watchBoth(tabs);
  const frame = encode({ id: 2, series: SERIES, times: [START_MS], values: [[5]] });
  socket.saysRaw(frame);
  assert.equal(frame.byteLength, 0);
  browser.settle();
  assert.deepEqual(two.picture, { times: [START_MS], values: [[5]] });
});

test("frames of what is not watched any more reach nobody", () => {
  const tabs = twoTabs();
  const { browser, first, second, socket } = tabs;
  const viewer = new Viewer();
  first.client.watchQuery(PARAMS, new Viewer().handlers).stop();
  browser.settle();
  second.client.watchQuery(PARAMS, viewer.handlers);
  browser.settle();
  assert.deepEqual(socket.requests("watch").map(({ id }) => id), [1, 2]);
  socket.says(snapshot(1, [START_MS], [1]));
  socket.saysRaw(encode({ id: 1, series: SERIES, times: [START_MS], values: [[5]] }));
  browser.settle();
  assert.deepEqual(viewer.kinds, []);
});

test("a frame that cannot be read is counted in every tab", () => {
  const { browser, first, second, socket } = twoTabs();
  socket.saysRaw("{");
  socket.saysRaw(new ArrayBuffer(3));
  browser.settle();
  assert.deepEqual([first.client.stats.ignored, second.client.stats.ignored], [2, 2]);
});

test("what the server says to all, and of no watch, every tab hears", () => {
  const { browser, first, second, socket } = twoTabs();
  let problems = 0;
  for (const { client } of [first, second]) client.addEventListener("problem", () => (problems += 1));
  socket.says({ type: "error", code: "bad_message", message: "what?" });
  browser.settle();
  assert.equal(problems, 2);
});

test("where the server wants acknowledgements they are given once for all tabs", () => {
  const tabs = twoTabs();
  const { browser, world, first, second, socket } = tabs;
  socket.drops(1006);
  browser.settle();
  world.pass(500);
  world.socket.welcome({ ack_ms: 100 });
  browser.settle();
  watchBoth(tabs);
  for (let i = 0; i < 10; i += 1) {
    world.pass(200);
    world.socket.says({ type: "heartbeat", server_ms: START_MS + world.ms });
    browser.settle();
  }
  const acks = world.socket.requests("ack").map(({ frames }) => frames);
  assert.equal(acks[acks.length - 1], 11);
  assert.equal(new Set(acks).size, acks.length);
  assert.equal(first.client.stats.framesOut, second.client.stats.framesOut);
});

test("however many tabs ask, the server is not asked faster than it allows", () => {
  const { browser, world, first, second, socket } = twoTabs();
  for (let i = 0; i < 45; i += 1) {
    for (const { client } of [first, second]) client.watchQuery(PARAMS, new Viewer().handlers).stop();
  }
  browser.settle();
  assert.ok(socket.received.length <= 100);
  world.pass(2_000);
  assert.ok(socket.received.length <= 150);
});
