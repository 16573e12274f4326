// What people say of a moment: sent once there is a connection, until it is answered.

import assert from "node:assert/strict";
import { test } from "node:test";

import { newRef } from "../../static/js/live/annotations.js";
import { chosenTime } from "../../static/js/pages/annotate.js";
import { liveWorld } from "./viewer.js";
import { START_MS, World } from "./world.js";

const DEPLOYED = { title: "deployed", text: "version 1.2", timeMs: START_MS + 0.4 };
const FRAME = { type: "annotate", ref: "r1", title: "deployed", text: "version 1.2", time: START_MS };

/**
 * @param {Promise<void>} promise
 * @returns {Promise<string>} "stored", or the code and the sentence of the refusal
 */
function outcome(promise) {
  return promise.then(() => "stored", ({ code, message }) => `${code}: ${message}`);
}

test("a refusal reaches who annotated, with its sentence, and nobody else", async () => {
  const { world, client } = liveWorld();
  let problems = 0;
  client.addEventListener("problem", () => (problems += 1));
  const [first, second] = ["r1", "r2"].map((ref) => outcome(client.annotations.add(ref, DEPLOYED)));
  world.socket.says({ type: "error", code: "forbidden", message: "you may not annotate", ref: "r2" });
  world.socket.says({ type: "stored", ref: "r1" });
  assert.deepEqual(await Promise.all([first, second]), ["stored", "forbidden: you may not annotate"]);
  assert.equal(problems, 0);
});

test("it is stored when the server says so, and sent once", async () => {
  const { world, client } = liveWorld();
  const stored = outcome(client.annotations.add("r1", DEPLOYED));
  assert.deepEqual(world.socket.requests("annotate"), [FRAME]);
  world.socket.says({ type: "stored", ref: "r1" });
  assert.equal(await stored, "stored");
  world.socket.drops(1006);
  world.pass(500);
  world.socket.welcome();
  assert.deepEqual(world.socket.requests("annotate"), []);
});

test("without a connection it waits, and after a break it is sent again with the same ref", async () => {
  const world = new World();
  const client = world.client();
  const stored = outcome(client.annotations.add("r1", DEPLOYED));
  world.socket.open();
  assert.deepEqual(world.socket.received, []);
  world.socket.welcome();
  assert.deepEqual(world.socket.requests("annotate"), [FRAME]);
  world.socket.drops(1006);
  world.pass(500);
  world.socket.welcome();
  assert.deepEqual(world.socket.requests("annotate"), [FRAME]);
  world.socket.says({ type: "stored", ref: "r1", replayed: true });
  assert.equal(await stored, "stored");
});

test("what was withdrawn is not sent again, and its answer is no surprise", () => {
  const { world, client } = liveWorld();
  void client.annotations.add("r1", DEPLOYED);
  client.annotations.withdraw("r1");
  world.socket.says({ type: "stored", ref: "r1" });
  world.socket.says({ type: "error", code: "internal", message: "no", ref: "r1" });
  world.socket.drops(1006);
  world.pass(500);
  world.socket.welcome();
  assert.deepEqual(world.socket.requests("annotate"), []);
  assert.equal(client.stats.ignored, 0);
  assert.deepEqual(world.warnings, []);
});

test("who is signed out is told that nothing will be sent", async () => {
  const { world, client } = liveWorld();
  const refused = outcome(client.annotations.add("r1", DEPLOYED));
  world.socket.drops(4401, "signed out");
  assert.match(await refused, /^closed: ./);
});

test("no two refs are the same", () => {
  const refs = Array.from({ length: 1000 }, newRef);
  assert.equal(new Set(refs).size, refs.length);
  for (const ref of refs) assert.match(ref, /^[0-9a-f]{32}$/);
});

test("the moment that was pointed at keeps its milliseconds unless another time is written", () => {
  const at = new Date(2026, 10, 20, 14, 2, 0, 345).getTime();
  assert.equal(chosenTime("2026-11-20T14:02:00", at + 0.4), at);
  assert.equal(chosenTime("2026-11-20T14:02", at), at);
  assert.equal(chosenTime("2026-11-20T14:02:01", at), at - 345 + 1000);
  assert.equal(chosenTime("", at), null);
});
