// One animation loop for all panels of a page. It sleeps while nothing moves.

/**
 * @typedef {object} Painter
 * @property {boolean} visible
 * @property {boolean} dirty new data or a new size
 * @property {number} pixelMs how long one pixel of its time axis lasts; Infinity: it does not move
 * @property {(nowMs: number) => void} paint
 */

/** Never more than this many moves per second, ms. */
const SHORTEST_MOVE_MS = 90;
/** With "reduce motion" the axis moves in steps of at least this, ms. */
const CALM_MOVE_MS = 1000;
/** Painting may take this share of the page's time. */
const SHARE = 0.25;

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
  #calm = matchMedia("(prefers-reduced-motion: reduce)");

  /** @param {() => number} now ms, by the server's clock */
  constructor(now) {
    this.#now = now;
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
    for (const painter of this.#painters) painter.dirty = true;
    this.wake();
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
    for (const painter of seen) {
      if (!painter.dirty && !(moves && painter.pixelMs < Infinity)) continue;
      painter.dirty = false;
      painter.paint(nowMs);
    }
    if (moves) {
      this.#lastMoveMs = startMs;
      this.#costMs = this.#costMs * 0.7 + (performance.now() - startMs) * 0.3;
    }
    this.#sleep(this.#lastMoveMs + intervalMs - performance.now());
  };

  /** @param {number} waitMs */
  #sleep(waitMs) {
    clearTimeout(this.#timer);
    // Timers beyond 2^31 ms fire at once.
    if (waitMs < 86_400_000) this.#timer = setTimeout(() => this.wake(), Math.max(0, waitMs));
  }
}
