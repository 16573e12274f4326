import assert from "node:assert/strict";
import { test } from "node:test";

import { SeriesStore } from "../../static/js/live/store.js";
import { seeded } from "./world.js";

const A = { labels: { job: "a" } };
const B = { labels: { job: "b" } };
const C = { labels: { job: "c" } };

/**
 * @param {number[]} times
 * @param {(number | null)[][]} values
 * @param {{labels: Record<string, string>}[]} [series]
 */
function frame(times, values, series = [A, B, C].slice(0, values.length)) {
  return { series, times, values, step_ms: 1000 };
}

/** @param {ArrayLike<number>} row @returns {(number | null)[]} as JSON has it */
const plain = (row) => Array.from(row, (value) => (Number.isNaN(value) ? null : value));

/** @param {SeriesStore} store */
const timesOf = (store) => plain(store.times);

/** @param {SeriesStore} store */
const valuesOf = (store) => store.values.map(plain);

/** @param {SeriesStore} store */
const bandOf = ({ band }) => band && { low: band.low.map(plain), high: band.high.map(plain) };

/**
 * @param {number[]} times
 * @param {(number | null)[][]} values
 */
function filled(times, values) {
  const store = new SeriesStore();
  assert.ok(store.replace(frame(times, values)));
  return store;
}

test("frames that do not fit together change nothing", () => {
  const store = filled([1000, 2000], [[1, 2]]);
  const version = store.version;
  /** @type {any[]} */
  const wrong = [
    { times: [3000], values: [] },
    { times: [3000], values: [[1], [2]] },
    { times: [3000], values: [[1, 2]] },
    { times: [3000], values: [null] },
    { times: null, values: [[1]] },
    { times: ["3000"], values: [[1]] },
    { times: [null], values: [[1]] },
    { times: [3000], values: "x" },
    { times: [3000], values: [[1], [2]], series: [null] },
    { times: [3000], values: [[1], [2]], series: [{ labels: null }] },
    { times: [3000], values: [[1]], series: {} },
    {},
  ];
  assert.equal(store.merge({ times: [3000], values: [[1]], series: [B] }), false);
  for (const bad of wrong) {
    assert.equal(store.merge(bad), false, JSON.stringify(bad));
    assert.equal(store.replace({ series: "x", ...bad }), false, JSON.stringify(bad));
  }
  assert.deepEqual([timesOf(store), valuesOf(store), store.series], [[1000, 2000], [[1, 2]], [A]]);
  assert.equal(store.version, version);
});

test("what is not a number is no value", () => {
  const store = new SeriesStore();
  /** @type {any} */
  const odd = ["NaN", undefined, {}, true];
  store.replace(frame([1, 2, 3, 4], [odd]));
  assert.deepEqual(valuesOf(store), [[null, null, null, null]]);
});

test("updates append, correct, fill in and add series", () => {
  const store = filled([1000, 3000], [[1, 3]]);
  store.merge({ times: [4000], values: [[4]] });
  store.merge({ times: [3000, 4000], values: [[30, null]] });
  store.merge({ times: [2000], values: [[2]] });
  store.merge({ times: [5000, 4000], values: [[5, 44], [50, 40]], series: [B] });
  assert.deepEqual(timesOf(store), [1000, 2000, 3000, 4000, 5000]);
  assert.deepEqual(valuesOf(store), [
    [1, 2, 30, 44, 5],
    [null, null, null, 40, 50],
  ]);
  assert.deepEqual(store.series, [A, B]);
});

test("an update for nothing, to nothing, is welcome", () => {
  const store = new SeriesStore();
  assert.ok(store.replace(frame([], [])));
  assert.ok(store.merge({ times: [1000], values: [] }));
  assert.ok(store.merge({ times: [], values: [[]], series: [A] }));
  assert.deepEqual([timesOf(store), valuesOf(store)], [[1000], [[null]]]);
  assert.equal(store.last(0), null);
});

test("the frames' own arrays are never changed", () => {
  const first = frame([1000], [[1]]);
  const store = new SeriesStore();
  store.replace(first);
  store.merge({ times: [2000], values: [[2], [3]], series: [B] });
  assert.deepEqual(first, frame([1000], [[1]]));
});

test("a snapshot of the same question keeps what is newer, series by series", () => {
  const store = filled([1000, 2000, 3000], [[1, 2, 3], [10, 20, 30]]);
  store.replace(frame([1000, 2000], [[21, 22], [5, 6]], [B, C]), { keepNewer: true });
  assert.deepEqual(timesOf(store), [1000, 2000, 3000]);
  assert.deepEqual(valuesOf(store), [
    [21, 22, 30],
    [5, 6, null],
  ]);
});

test("a snapshot that ends long before the picture is believed", () => {
  const store = filled([1000, 100_000], [[1, 2]]);
  store.replace(frame([1000], [[7]]), { keepNewer: true });
  assert.deepEqual([timesOf(store), valuesOf(store)], [[1000], [[7]]]);
  store.replace(frame([], [[]]), { keepNewer: true });
  assert.deepEqual(timesOf(store), []);
});

test("another step starts afresh", () => {
  const store = filled([1000, 2000, 3000], [[1, 2, 3]]);
  store.replace({ ...frame([2000], [[9]]), step_ms: 2000 }, { keepNewer: true });
  assert.deepEqual([timesOf(store), valuesOf(store), store.stepMs], [[2000], [[9]], 2000]);
});

test("frames of typed rows are kept as those of JSON are, and never changed", () => {
  const store = new SeriesStore();
  const times = Float64Array.of(1000, 2000);
  const rows = [Float64Array.of(1, NaN), Float64Array.of(Infinity, 4)];
  assert.ok(store.replace({ series: [A, B], times, values: rows, step_ms: 1000 }));
  assert.ok(store.merge({ times: Float64Array.of(2000, 3000), values: [Float64Array.of(2, 3), [5, null]] }));
  assert.deepEqual([timesOf(store), valuesOf(store)], [[1000, 2000, 3000], [[1, 2, 3], [null, 5, null]]]);
  assert.deepEqual([[...times], rows.map(plain)], [[1000, 2000], [[1, null], [Infinity, 4]]]);
});

test("new values of the newest step move nothing: rows stay the arrays that they were", () => {
  const store = filled([1000, 2000], [[1, 2]]);
  const [row] = store.values;
  store.merge({ times: [2000], values: [[3]] });
  assert.equal(store.values[0], row);
  assert.equal(row[1], 3);
});

test("only new series change the version of the series", () => {
  const store = filled([1000], [[1]]);
  const before = store.seriesVersion;
  store.merge({ times: [2000], values: [[2]] });
  assert.equal(store.seriesVersion, before);
  store.merge({ times: [3000], values: [[3], [4]], series: [B] });
  assert.notEqual(store.seriesVersion, before);
});

test("trimming waits until it pays, and always drops what is wholly too old", () => {
  const times = Array.from({ length: 1000 }, (_, i) => i * 1000);
  const store = filled(times, [times.slice()]);
  store.trim(100_000);
  assert.equal(store.times.length, 1000);
  store.trim(125_000);
  assert.equal(store.times[0], 125_000);
  assert.deepEqual(valuesOf(store)[0], timesOf(store));
  store.trim(5_000_000);
  assert.deepEqual([timesOf(store), valuesOf(store)], [[], [[]]]);
  const few = filled([1000, 2000], [[1, 2]]);
  few.trim(3000);
  assert.deepEqual(timesOf(few), []);
});

test("a store never holds more than it may", () => {
  const store = new SeriesStore({ maxPoints: 100 });
  store.replace(frame([], [[]]));
  for (let i = 0; i < 1000; i += 1) {
    store.merge({ times: [i], values: [[i]] });
    assert.ok(store.times.length <= 100);
    assert.equal(store.lastTimeMs, i);
  }
  assert.ok(store.times.length >= 90);
  assert.deepEqual(valuesOf(store)[0], timesOf(store));
  const many = Array.from({ length: 500 }, (_, i) => i);
  store.replace(frame(many, [many]));
  assert.ok(store.times.length <= 100);
  assert.equal(store.lastTimeMs, 499);
});

test("the last value is the newest that is one", () => {
  const store = filled([1000, 2000, 3000], [[1, 2, null], [null, null, null]]);
  assert.deepEqual(store.last(0), { timeMs: 2000, value: 2 });
  assert.equal(store.last(1), null);
  assert.equal(store.last(7), null);
});

/** The same picture, kept the obvious way. */
class Model {
  /** @type {Map<number, (number | null)[]>} */
  columns = new Map();

  /**
   * @param {number[]} times
   * @param {(number | null)[][]} values
   */
  put(times, values) {
    times.forEach((time, i) => this.columns.set(time, values.map((row) => row[i])));
  }

  /** @param {number} rows */
  picture(rows) {
    const times = [...this.columns.keys()].sort((a, b) => a - b);
    const at = (/** @type {number} */ time, /** @type {number} */ s) => this.columns.get(time)?.[s] ?? null;
    return {
      times,
      values: Array.from({ length: rows }, (_, s) => times.map((time) => at(time, s))),
    };
  }
}

/**
 * @param {() => number} random
 * @param {number} rows
 * @param {number} around
 */
function randomColumns(random, rows, around) {
  const count = Math.floor(random() * 5);
  const times = Array.from({ length: count }, () => (around + Math.floor((random() - 0.7) * 12)) * 1000);
  const value = () => (random() < 0.2 ? null : Math.floor(random() * 100));
  return { times, values: Array.from({ length: rows }, () => times.map(value)) };
}

test("whatever order updates come in, the store equals a map by time", () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = seeded(seed);
    const store = new SeriesStore();
    let model = new Model();
    let rows = 1 + Math.floor(random() * 3);
    const series = (/** @type {number} */ from, /** @type {number} */ to) =>
      Array.from({ length: to - from }, (_, i) => ({ labels: { n: String(from + i) } }));
    store.replace({ series: series(0, rows), times: [], values: series(0, rows).map(() => []), step_ms: 1000 });
    for (let step = 0; step < 150; step += 1) {
      const dice = random();
      const added = dice < 0.05 ? 1 : 0;
      const { times, values } = randomColumns(random, rows + added, step);
      if (dice > 0.98) {
        model = new Model();
        model.put(times, values);
        assert.ok(store.replace({ series: series(0, rows), times, values, step_ms: 1000 }));
      } else {
        assert.ok(store.merge({ times, values, series: series(rows, rows + added) }));
        rows += added;
        model.put(times, values);
      }
      const expected = model.picture(rows);
      assert.deepEqual({ times: timesOf(store), values: valuesOf(store) }, expected, `seed ${seed}, step ${step}`);
      assert.equal(store.series.length, rows);
    }
  }
});

test("the order in which updates of different times arrive does not matter", () => {
  const times = Array.from({ length: 40 }, (_, i) => i * 1000);
  const expected = filled(times, [times]);
  for (let seed = 1; seed <= 30; seed += 1) {
    const random = seeded(seed);
    const shuffled = times.map((time) => ({ time, key: random() })).sort((a, b) => a.key - b.key);
    const store = filled([], [[]]);
    for (const { time } of shuffled) store.merge({ times: [time], values: [[time]] });
    assert.deepEqual([timesOf(store), valuesOf(store)], [timesOf(expected), valuesOf(expected)]);
  }
});

test("a band that does not fit changes nothing", () => {
  const store = filled([1000, 2000], [[1, 2]]);
  /** @type {any[]} */
  const wrong = [
    { low: [[1], [2]], high: [[1]] },
    { low: [[1]], high: [[1, 2]] },
    { low: "x", high: [[1]] },
  ];
  for (const band of wrong) {
    assert.equal(store.merge({ times: [3000], values: [[1]], ...band }), false, JSON.stringify(band));
  }
  assert.equal(store.band, null);
});

test("a band is kept beside the values, and is the values where none was sent", () => {
  const store = filled([1000, 2000], [[1, 2]]);
  assert.equal(store.band, null);
  assert.ok(store.merge({ times: [4000], values: [[4]], low: [[3]], high: [[9]] }));
  assert.ok(store.merge({ times: [2000, 3000], values: [[2.5, 3]] }));
  assert.deepEqual(bandOf(store), { low: [[1, 2.5, 3, 3]], high: [[1, 2.5, 3, 9]] });
  assert.ok(store.merge({ times: [6000], values: [[6], [7]], series: [B] }));
  assert.deepEqual(bandOf(store)?.high, [
    [1, 2.5, 3, 9, 6],
    [null, null, null, null, 7],
  ]);
});

test("a snapshot brings its own band, or none", () => {
  const store = filled([1000], [[1]]);
  const banded = { ...frame([1000, 2000], [[1, 2]]), low: [[0, 1]], high: [[5, 6]] };
  assert.ok(store.replace(banded));
  assert.deepEqual(bandOf(store), { low: [[0, 1]], high: [[5, 6]] });
  assert.ok(store.replace(frame([1000], [[1]]), { keepNewer: true }));
  assert.deepEqual([valuesOf(store), bandOf(store)], [[[1, 2]], { low: [[1, 1]], high: [[1, 6]] }]);
  assert.ok(store.replace(frame([1000], [[1]])));
  assert.equal(store.band, null);
});
