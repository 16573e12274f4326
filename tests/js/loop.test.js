// The painting loop: once a frame, only what is seen, within its share of the page's time.

import assert from "node:assert/strict";
import { test } from "node:test";

/** A page that tests drive by hand: its frames, its timers, and how long painting takes. */
class Page {
  ms = 0;
  /** @type {(() => void)[]} */
  frames = [];
  /** @type {{at: number, run: () => void}[]} */
  timers = [];
  /** @type {(() => void) | null} */
  afterFrame = null;
  posted = false;

  constructor() {
    const page = this;
    Object.assign(globalThis, {
      document: { hidden: false, addEventListener: () => {} },
      matchMedia: () => ({ matches: false }),
      performance: { now: () => this.ms },
      requestAnimationFrame: (/** @type {() => void} */ run) => this.frames.push(run),
      setTimeout: (/** @type {() => void} */ run, /** @type {number} */ delayMs) =>
        this.timers.push({ at: this.ms + delayMs, run }),
      clearTimeout: (/** @type {number} */ number) => {
        if (number > 0) this.timers[number - 1] = { at: Infinity, run: () => {} };
      },
      MessageChannel: class {
        port1 = {
          /** @param {() => void} run */
          set onmessage(run) {
            page.afterFrame = run;
          },
        };
        port2 = {
          postMessage: () => {
            page.posted = true;
          },
        };
      },
    });
  }

  /** Shows the next frame; what was painted takes `costMs` beyond its scripts. @param {number} costMs */
  frame(costMs = 0) {
    const due = this.frames;
    this.frames = [];
    for (const run of due) run();
    this.ms += costMs;
    if (this.posted) this.afterFrame?.();
    this.posted = false;
  }

  /** @param {number} durationMs */
  pass(durationMs) {
    this.ms += durationMs;
    const due = this.timers.filter(({ at }) => at <= this.ms);
    this.timers = this.timers.map((timer) => (timer.at <= this.ms ? { at: Infinity, run: () => {} } : timer));
    for (const { run } of due) run();
  }
}

async function painting() {
  const page = new Page();
  const { PaintLoop } = await import("../../static/js/panels/loop.js");
  const loop = new PaintLoop(() => page.ms);
  const painter = { visible: true, dirty: false, urgent: false, pixelMs: Infinity, painted: 0, paint };
  function paint() {
    painter.painted += 1;
  }
  loop.add(painter);
  page.frame();
  const renew = () => {
    painter.dirty = true;
    loop.soon();
  };
  return { page, loop, painter, renew };
}

test("a painter out of sight is not painted, whatever comes", async () => {
  const { page, loop, painter, renew } = await painting();
  painter.visible = false;
  renew();
  loop.all();
  page.frame();
  assert.equal(painter.painted, 0);
});

test("many updates between two frames are one painting", async () => {
  const { page, painter, renew } = await painting();
  for (let i = 0; i < 10; i += 1) renew();
  assert.equal(page.frames.length, 1);
  page.frame();
  page.frame();
  assert.equal(painter.painted, 1);
});

test("where painting is dear new data waits, so that it takes a quarter of the time at most", async () => {
  const { page, painter, renew } = await painting();
  page.ms = 1000;
  renew();
  page.frame(50);
  renew();
  page.frame();
  assert.equal(painter.painted, 1, "50 ms were spent: nothing before 200 ms have passed");
  page.pass(149);
  page.frame();
  assert.equal(painter.painted, 1);
  page.pass(1);
  page.frame();
  assert.equal(painter.painted, 2);
});

test("a person's wish is painted at once, and new data at the latest after a second", async () => {
  const { page, loop, painter, renew } = await painting();
  page.ms = 1000;
  renew();
  page.frame(900);
  loop.all();
  assert.ok(painter.urgent);
  page.frame(900);
  assert.deepEqual([painter.painted, painter.urgent], [2, false]);
  renew();
  page.pass(100);
  page.frame();
  assert.equal(painter.painted, 3);
});
