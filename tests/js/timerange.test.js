import assert from "node:assert/strict";
import { test } from "node:test";

import {
  absoluteRange,
  describeRange,
  formatDuration,
  formatRange,
  fromLocalInput,
  LONGEST_RANGE_MS,
  MOST_STEPS,
  parseDuration,
  parseRange,
  PRESETS,
  stepFor,
  STEPS_MS,
  toLocalInput,
} from "../../static/js/timerange.js";
import { seeded } from "./world.js";

const DEFAULT_MS = 300_000;
const NOON_MS = Date.UTC(2026, 10, 20, 12);

test("an address that makes no sense shows the default, live", () => {
  const senseless = [
    "", "?range=", "?range=soon", "?range=-5m", "?range=0s", "?range=5", "?range=1e3s", "?from=1&to=",
    "?from=x&to=y", "?from=5&to=5", "?from=9&to=3", "?from=-1&to=5", "?to=5", "?from=1&to=99999999999999999",
    "?from=2026-11-20&to=2026-11-21", "?from=2026-11-20T10:00&to=2026-11-20T11:00",
  ];
  for (const query of senseless) {
    assert.deepEqual(parseRange(query, DEFAULT_MS), { rangeMs: DEFAULT_MS, endMs: null }, query);
  }
});

test("a range in the address is bounded", () => {
  assert.equal(parseRange("?range=999999d", DEFAULT_MS).rangeMs, LONGEST_RANGE_MS);
  assert.equal(parseRange("?range=1ms", DEFAULT_MS).rangeMs, 1000);
  assert.deepEqual(parseRange("?from=0&to=99999999999999", DEFAULT_MS).rangeMs, LONGEST_RANGE_MS);
});

test("live and absolute ranges are read from the address and written back", () => {
  for (const { label, rangeMs } of PRESETS) {
    const range = parseRange(`?range=${label}`, DEFAULT_MS);
    assert.deepEqual(range, { rangeMs, endMs: null });
    assert.deepEqual(parseRange(formatRange(range), DEFAULT_MS), range);
  }
  const absolute = absoluteRange(NOON_MS, NOON_MS - 60_000);
  assert.deepEqual(absolute, { rangeMs: 60_000, endMs: NOON_MS });
  assert.equal(formatRange(absolute), `?from=${NOON_MS - 60_000}&to=${NOON_MS}`);
  assert.deepEqual(parseRange(new URLSearchParams(formatRange(absolute)), DEFAULT_MS), absolute);
  const iso = "?from=2026-11-20T11:00:00Z&to=2026-11-20T13:00:00%2B01:00";
  assert.deepEqual(parseRange(iso, DEFAULT_MS), { rangeMs: 3_600_000, endMs: NOON_MS });
});

test("durations are read and written", () => {
  assert.equal(parseDuration("1h30m"), 5_400_000);
  assert.equal(parseDuration("2w"), 14 * 86_400_000);
  assert.equal(parseDuration("250ms"), 250);
  for (const wrong of ["", "m", "1", "1 h", "1.5h", "h1", "1y"]) assert.equal(parseDuration(wrong), null);
  assert.equal(formatDuration(900_000), "15m");
  assert.equal(formatDuration(86_400_000), "1d");
  assert.equal(formatDuration(5_400_000), "1h30m");
  assert.equal(formatDuration(0), "0s");
  const random = seeded(3);
  for (let i = 0; i < 500; i += 1) {
    const durationMs = Math.floor(random() * 10 ** (random() * 10));
    assert.equal(parseDuration(formatDuration(durationMs)), durationMs);
  }
});

test("a step is about one to two pixels, a second at least, and never more than is answered", () => {
  assert.equal(stepFor(60_000, 600), 1000);
  assert.equal(stepFor(300_000, 600), 1000);
  assert.equal(stepFor(900_000, 600), 2000);
  assert.equal(stepFor(3_600_000, 600), 10_000);
  assert.equal(stepFor(86_400_000, 600), 300_000);
  assert.equal(stepFor(900_000, 0), stepFor(900_000, 600));
  assert.equal(stepFor(900_000, NaN), stepFor(900_000));
  for (const { rangeMs } of PRESETS) {
    for (const widthPx of [50, 320, 700, 1920, 3840, 20_000]) {
      const step = stepFor(rangeMs, widthPx);
      assert.ok(STEPS_MS.includes(step));
      const steps = rangeMs / step;
      assert.ok(steps <= widthPx && steps < MOST_STEPS, `${rangeMs} ${widthPx}`);
      assert.ok(step === 1000 || steps >= Math.min(widthPx, MOST_STEPS) / 3.1, `${rangeMs} ${widthPx} ${steps}`);
    }
  }
});

test("times of the reader's zone are read and written", () => {
  const local = new Date(2026, 10, 20, 13, 4, 5).getTime();
  assert.equal(fromLocalInput("2026-11-20T13:04:05"), local);
  assert.equal(fromLocalInput("2026-11-20T13:04"), local - 5000);
  assert.equal(fromLocalInput("2026-11-20T13:04:05.25"), local + 250);
  assert.equal(toLocalInput(local), "2026-11-20T13:04:05");
  for (const wrong of ["", "2026-11-20", "2026-02-30T10:00", "2026-11-20T24:00", "2026-11-20T10:61", "x"]) {
    assert.equal(fromLocalInput(wrong), null, wrong);
  }
});

test("ranges are described in words", () => {
  assert.equal(describeRange({ rangeMs: 900_000, endMs: null }), "Last 15 minutes");
  assert.equal(describeRange({ rangeMs: 42_000, endMs: null }), "Last 42s");
  const end = new Date(2026, 10, 20, 13, 34).getTime();
  assert.equal(describeRange({ rangeMs: 1_800_000, endMs: end }), "2026-11-20 13:04:00 – 13:34:00");
  assert.equal(
    describeRange({ rangeMs: 86_400_000, endMs: end }),
    "2026-11-19 13:34:00 – 2026-11-20 13:34:00",
  );
});
