// Data frames of pulseboard.v1: read in place, and refused when anything about them does not fit.

import assert from "node:assert/strict";
import { test } from "node:test";

import { decode } from "../../static/js/live/binary.js";
import { encode } from "./binary.js";
import { PARAMS, Viewer, liveWorld } from "./viewer.js";

const SERIES = [{ labels: { job: "a" } }, { labels: { job: "ß" } }];
const FRAME = { id: 7, series: SERIES, times: [1000, 2000], values: [[1, null], [3, -4.5]] };

test("frames of another version or kind, or of a wrong length, are refused", () => {
  const good = encode(FRAME);
  assert.ok(decode(good) !== null);
  /** @type {[number, number][]} byte and what it becomes */
  const wrong = [[0, 0], [0, 2], [1, 0], [1, 3], [2, 1], [8, 3], [12, 1], [16, 0], [16, 255]];
  for (const [at, value] of wrong) {
    const bytes = new Uint8Array(good.slice(0));
    bytes[at] = value;
    assert.equal(decode(bytes.buffer), null, `byte ${at} is ${value}`);
  }
  for (const length of [0, 1, 39, 40, good.byteLength - 1]) assert.equal(decode(good.slice(0, length)), null);
  assert.equal(decode(new Uint8Array([...new Uint8Array(good), 0]).buffer), null);
});

test("labels that are no list in JSON are refused", () => {
  for (const text of ["{}", "[", "null", '"x"']) assert.equal(decode(encode(FRAME, { text })), null, text);
  const bytes = new Uint8Array(encode(FRAME));
  bytes[bytes.length - 3] = 0xff;
  assert.equal(decode(bytes.buffer), null);
});

test("any number of rows without a column does not take the page's memory", () => {
  const bytes = new Uint8Array(encode({ id: 1, series: [], times: [], values: [] }));
  bytes.fill(255, 8, 12);
  assert.equal(decode(bytes.buffer), null);
});

test("a frame says what it said in JSON, and its numbers stay where they are", () => {
  const buffer = encode(FRAME, { cursor: [0xabc, 12], conflated: true });
  const frame = decode(buffer);
  assert.ok(frame !== null);
  const { values, times, low, ...rest } = frame;
  assert.deepEqual(rest, {
    type: "snapshot",
    id: 7,
    series: SERIES,
    high: null,
    step_ms: 1000,
    cursor: "00000abc:12",
    conflated: true,
  });
  assert.deepEqual([[...times], ...values.map((row) => [...row])], [[1000, 2000], [1, NaN], [3, -4.5]]);
  assert.ok(values.every((row) => row.buffer === buffer) && times.buffer === buffer);
  assert.equal(low, null);
});

test("a band follows its values", () => {
  const frame = decode(encode({ ...FRAME, low: [[0, 1], [2, 3]], high: [[4, 5], [6, null]] }, { kind: 2 }));
  assert.equal(frame?.type, "update");
  assert.deepEqual(frame?.low?.map((row) => [...row]), [[0, 1], [2, 3]]);
  assert.deepEqual(frame?.high?.map((row) => [...row]), [[4, 5], [6, NaN]]);
});

test("a page draws binary frames as it draws JSON, asks on by their cursor, counts their bytes", () => {
  const { world, client } = liveWorld();
  const viewer = new Viewer();
  const watch = client.watchQuery(PARAMS, viewer.handlers);
  const snapshot = encode({ ...FRAME, id: watch.id }, { cursor: [1, 5] });
  const before = client.stats.bytesIn;
  world.socket.saysRaw(snapshot);
  assert.equal(client.stats.bytesIn - before, snapshot.byteLength);
  const update = { id: watch.id, series: [], times: [3000], values: [[5], [6]] };
  world.socket.saysRaw(encode(update, { kind: 2, cursor: [1, 6] }));
  assert.deepEqual(viewer.picture.times, [1000, 2000, 3000]);
  assert.deepEqual(viewer.picture.values, [[1, NaN, 5], [3, -4.5, 6]]);
  assert.equal(watch.cursor, "00000001:6");
  assert.equal(client.stats.ignored, 0);
});

test("a binary message that cannot be read is counted and leaves everything as it is", () => {
  const { world, client } = liveWorld();
  const viewer = new Viewer();
  client.watchQuery(PARAMS, viewer.handlers);
  for (const bytes of [0, 8, 40, 4096]) world.socket.saysRaw(new ArrayBuffer(bytes));
  assert.equal(client.stats.ignored, 4);
  assert.deepEqual(viewer.kinds, []);
  assert.equal(client.status.state, "live");
  assert.equal(world.warnings.length, 1);
});
