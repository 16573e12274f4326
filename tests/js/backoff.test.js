import assert from "node:assert/strict";
import { test } from "node:test";

import { waitInReason } from "../../static/js/live/afterloss.js";
import { Backoff } from "../../static/js/live/backoff.js";

test("waits are spread over the whole of a bound that doubles up to its cap", () => {
  for (const random of [0, 0.25, 0.999]) {
    const backoff = new Backoff({ random: () => random });
    const waits = Array.from({ length: 8 }, () => backoff.next());
    assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000].map((ms) => ms * random));
  }
});

test("a thousand failures later it still waits a sane time, and starts again after success", () => {
  const backoff = new Backoff({ random: () => 0.5 });
  for (let i = 0; i < 2000; i += 1) backoff.next();
  assert.equal(backoff.next(), 5_000);
  assert.equal(backoff.nextSlow(), 7_500);
  backoff.reset();
  assert.equal(backoff.next(), 250);
});

test("the wait is found in the reason as servers write it", () => {
  /** @type {[string, number | null][]} */
  const reasons = [
    ["", null],
    ["too many frames", null],
    ["retry_ms=5000", 5000],
    ['{"retry_ms": 1500}', 1500],
    ["retry_after_ms: 700", 700],
    ["rate limited, come back in 12 s", 12_000],
    ["wait 2.5 seconds", 2500],
    ["more than 50 frames; wait 300 ms", 300],
    ["try again in 1 minute", 60_000],
    ["wait 999999999 s", 600_000],
  ];
  for (const [reason, waitMs] of reasons) assert.equal(waitInReason(reason), waitMs, reason);
});
