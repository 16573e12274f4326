// One animation loop for all panels of a page. It sleeps while nothing moves.

/**
 * @typedef {object} Painter
 * @property {boolean} visible
 * @property {boolean} dirty new data or a new size
 * @property {boolean} urgent more than new data: the picture as a whole is another one
 * @property {number} pixelMs how long one pixel of its time axis lasts; Infinity: it does not move
 * @property {(nowMs: number) => void} paint
 */

/** Never more than this many moves per second, ms. */
const SHORTEST_MOVE_MS = 90;
/** With "reduce motion" the axis moves in steps of at least this, ms. */
const CALM_MOVE_MS = 1000;
/** Painting what moves by itself may take this share of the page's time. */
const SHARE = 0.25;
/** However dear painting is, new data is painted within this, ms. */
const PAINTED_WITHIN_MS = 1000;

/**
 * @param {number[]} pixelMs of all visible panels
 * @param {boolean} calm the reader wants less motion
 * @param {number} costMs of the last moves
 * @returns {number} ms until the axes move again; Infinity: never
 */
export function moveInterval(pixelMs, calm, costMs) {
  const shortest = Math.min(Infinity, ...pixelMs);
  if (shortest === Infinity) return Infinity;
  return Math.max(shortest, calm ? CALM_MOVE_MS : SHORTEST_MOVE_MS, costMs / SHARE);
}

export class PaintLoop {
  /** @type {Set<Painter>} */
  #painters = new Set();
  #now;
  #frame = 0;
  #timer = 0;
  #lastMoveMs = 0;
  #costMs = 0;
  #notBeforeMs = 0;
  #soonTimer = 0;
  #startMs = 0;
  #after = new MessageChannel();
  #calm = matchMedia("(prefers-reduced-motion: reduce)");

  /** @param {() => number} now ms, by the server's clock */
  constructor(now) {
    this.#now = now;
    // A message is read once the frame is done: what the canvas and the page cost after the scripts
    // counts, too.
    this.#after.port1.onmessage = () => this.#painted();
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.all();
    });
  }

  /** @param {Painter} painter */
  add(painter) {
    this.#painters.add(painter);
    this.wake();
  }

  /** Paints everything anew: another theme, another span. */
  all() {
    for (const painter of this.#painters) painter.dirty = painter.urgent = true;
    this.wake();
  }

  /**
   * New data: painted at the next frame, unless painting already takes its share of the page's time.
   * Then it waits, and what comes meanwhile is painted with it.
   */
  soon() {
    if (this.#frame !== 0 || this.#soonTimer !== 0) return;
    const waitMs = this.#notBeforeMs - performance.now();
    if (waitMs < 4) {
      this.wake();
      return;
    }
    this.#soonTimer = setTimeout(() => {
      this.#soonTimer = 0;
      this.wake();
    }, waitMs);
  }

  /** Something became dirty, visible or began to move. */
  wake() {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(this.#paint);
  }

  #paint = () => {
    this.#frame = 0;
    const startMs = performance.now();
    const seen = [...this.#painters].filter((painter) => painter.visible);
    const pixels = seen.map((painter) => painter.pixelMs);
    const intervalMs = moveInterval(pixels, this.#calm.matches, this.#costMs);
    const moves = startMs - this.#lastMoveMs >= intervalMs - 4;
    const nowMs = this.#now();
    let painted = false;
    for (const painter of seen) {
      const moved = moves && painter.pixelMs < Infinity;
      if (!painter.dirty && !moved) continue;
      painted = true;
      painter.dirty = false;
      painter.urgent ||= moved;
      painter.paint(nowMs);
      painter.urgent = false;
    }
    if (moves) this.#lastMoveMs = startMs;
    if (painted) {
      this.#startMs = startMs;
      this.#after.port2.postMessage(null);
    }
    this.#sleep(this.#lastMoveMs + intervalMs - performance.now());
  };

  #painted() {
    const costMs = performance.now() - this.#startMs;
    this.#costMs = this.#costMs * 0.7 + costMs * 0.3;
    this.#notBeforeMs = this.#startMs + Math.min(PAINTED_WITHIN_MS, costMs / SHARE);
  }

  /** @param {number} waitMs */
  #sleep(waitMs) {
    clearTimeout(this.#timer);
    // Timers beyond 2^31 ms fire at once.
    if (waitMs < 86_400_000) this.#timer = setTimeout(() => this.wake(), Math.max(0, waitMs));
  }
}
