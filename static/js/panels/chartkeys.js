// What the keys of a focused chart do.

/** @import uPlot from "../../vendor/uplot/uPlot.esm.js" */

const PAGE_STEPS = 10;

/** @type {Record<string, number>} steps of the cursor */
const STEPS = {
  ArrowLeft: -1,
  ArrowRight: 1,
  PageUp: -PAGE_STEPS,
  PageDown: PAGE_STEPS,
  Home: -Infinity,
  End: Infinity,
};

/**
 * @typedef {{move: number} | {event: number} | {zoom: number}} ChartCommand `move`: so many steps;
 *   `event`: to the one before (-1) or after (1); `zoom`: by this factor, below 1 goes in
 */

/**
 * @param {{key: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean, shiftKey: boolean}} press
 * @returns {ChartCommand | null}
 */
export function chartCommand({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  if (ctrlKey || metaKey || altKey) return null;
  if (key === "+") return { zoom: 0.5 };
  if (key === "-") return { zoom: 2 };
  if (!Object.hasOwn(STEPS, key)) return null;
  const steps = STEPS[key];
  return shiftKey && Math.abs(steps) === 1 ? { event: steps } : { move: steps };
}

/** The cursor, once the keyboard has put it somewhere: it stays at the moment as the picture moves. */
export class KeyedCursor {
  #timeMs = NaN;

  get isSet() {
    return !Number.isNaN(this.#timeMs);
  }

  /**
   * @param {uPlot} u
   * @param {number} timeMs
   */
  put(u, timeMs) {
    this.#timeMs = timeMs;
    this.follow(u);
  }

  /**
   * @param {uPlot} u which shows another span now
   * @returns {boolean} false: the cursor is not the keyboard's
   */
  follow(u) {
    if (!this.isSet) return false;
    u.setCursor({ left: u.valToPos(this.#timeMs, "x"), top: u.over.clientHeight / 2 });
    return true;
  }

  forget() {
    this.#timeMs = NaN;
  }
}
