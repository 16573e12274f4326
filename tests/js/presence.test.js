// Who is on a dashboard: refusals, what is said of oneself, what others are told of.

import assert from "node:assert/strict";
import { test } from "node:test";

import { apart, colourOf, initials, sentence } from "../../static/js/pages/presence.js";
import { liveWorld } from "./viewer.js";

/** @typedef {import("../../static/js/protocol.js").Person} Person */

/** @param {string} name @param {Partial<Person>} [more] @returns {Person} */
const person = (name, more = {}) => ({ name, kind: "person", ...more });

/** Records what a watch is told. */
function visitor() {
  /** @type {[string[], number][]} */
  const told = [];
  /** @type {string[]} */
  const errors = [];
  return {
    told,
    errors,
    handlers: {
      onPeople: (/** @type {Person[]} */ people, /** @type {number} */ others) => {
        told.push([people.map(({ name }) => name), others]);
      },
      onError: (/** @type {{message: string}} */ { message }) => errors.push(message),
    },
  };
}

test("a dashboard that may not be seen is said to have nobody, and not asked for again", () => {
  const { world, client } = liveWorld();
  const { handlers, errors, told } = visitor();
  client.watchPresence({ board: "secret" }, handlers);
  world.socket.says({ type: "error", id: 1, code: "forbidden", message: "no such dashboard" });
  world.passWithHeartbeats(60_000);
  assert.deepEqual(errors, ["no such dashboard"]);
  assert.deepEqual(told, []);
  assert.equal(world.socket.requests("watch_presence").length, 1);
});

test("a list that is none leads to a fresh one", () => {
  const { world, client } = liveWorld();
  const { handlers, told } = visitor();
  client.watchPresence({ board: "shop" }, handlers);
  world.socket.says({ type: "presence", id: 1, people: null, others: 0, cursor: "e1:1" });
  world.passWithHeartbeats(2_000);
  assert.equal(world.socket.requests("watch_presence").length, 2);
  world.socket.says({ type: "presence", id: 2, people: [person("ann")], cursor: "e1:1" });
  assert.deepEqual(told, [[["ann"], 0]]);
});

test("who looks elsewhere says so on the same socket, once, and so does who comes back", () => {
  const { world, client } = liveWorld();
  const { handlers } = visitor();
  const watch = client.watchPresence({ board: "shop", away: false }, handlers);
  watch.setAway(false);
  watch.setAway(true);
  watch.setAway(true);
  watch.setAway(false);
  assert.deepEqual(world.socket.received, [
    { type: "watch_presence", id: 1, board: "shop", away: false },
    { type: "unwatch", id: 1 },
    { type: "watch_presence", id: 2, board: "shop", away: true },
    { type: "unwatch", id: 2 },
    { type: "watch_presence", id: 3, board: "shop", away: false },
  ]);
  assert.equal(world.sockets.length, 1);
});

test("after a break the page says again where it is, as it is now", () => {
  const { world, client } = liveWorld();
  const { handlers, told } = visitor();
  const watch = client.watchPresence({ board: "shop" }, handlers);
  world.socket.says({ type: "presence", id: 1, people: [person("ann")], others: 2, cursor: "e1:1" });
  world.socket.drops(1006);
  watch.setAway(true);
  world.pass(500);
  world.socket.welcome();
  assert.deepEqual(world.socket.received, [
    { type: "watch_presence", id: 1, board: "shop", away: true },
  ]);
  world.socket.says({ type: "presence", id: 1, people: [], others: 0, cursor: "e2:1" });
  assert.deepEqual(told, [[["ann"], 2], [[], 0]]);
});

test("who has left is not told of anybody", () => {
  const { world, client } = liveWorld();
  const { handlers, told } = visitor();
  const watch = client.watchPresence({ board: "shop" }, handlers);
  watch.stop();
  watch.setAway(true);
  world.socket.says({ type: "presence", id: 1, people: [person("ann")], others: 0, cursor: "e1:1" });
  assert.deepEqual(told, []);
  assert.equal(world.socket.requests("watch_presence").length, 1);
});

test("initials are at most two letters, of whatever name", () => {
  assert.deepEqual(["ann", "ann.smith", "Émile de la Tour", "x@example.org", "🦊 fox", "  ", ""].map(initials), [
    "A", "AS", "ÉD", "XE", "🦊F", "?", "?",
  ]);
});

test("a name keeps its colour", () => {
  for (const name of ["", "ann", "🦊", "x".repeat(500)]) {
    const colour = colourOf(name);
    assert.ok(colour >= 1 && colour <= 8);
    assert.equal(colourOf(name), colour);
  }
});

test("a sentence names three, and says how many more there are and who is away", () => {
  const [ann, bob, screen, dan, eve] = [
    person("ann"), person("bob", { away: true }), person("hall", { kind: "token" }), person("dan"), person("eve"),
  ];
  assert.equal(sentence([], 0), "");
  assert.equal(sentence([ann], 0), "ann is here too");
  assert.equal(sentence([ann, bob], 0), "ann and bob (away) are here too");
  assert.equal(sentence([ann, bob, screen], 0), "ann, bob (away) and hall (a token) are here too");
  assert.equal(sentence([ann, bob, screen, dan], 0), "ann, bob (away), hall (a token) and 1 other are here too");
  assert.equal(sentence([ann, bob, screen, dan, eve], 1200), "ann, bob (away), hall (a token) and 1,202 others are here too");
  assert.equal(sentence([], 1), "1 other is here too");
  assert.equal(sentence([], 5), "5 others are here too");
});

test("I am not among the others, and a token of my name is", () => {
  const people = [person("ann", { kind: "token" }), person("ann"), person("bob")];
  const { mine, theirs, more } = apart(people, 0, "ann");
  assert.equal(mine, people[1]);
  assert.deepEqual(theirs, [people[0], people[2]]);
  assert.equal(more, 0);
  assert.deepEqual(apart([person("bob")], 7, "ann"), { mine: undefined, theirs: [person("bob")], more: 6 });
});
