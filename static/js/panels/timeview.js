// Which span of time all panels of a page show: following the clock, or absolute.

import { absoluteRange, liveRange } from "../timerange.js";

/** @typedef {import("../timerange.js").TimeRange} TimeRange */
/** @typedef {import("./types.js").TimeWindow} TimeWindow */

/** A zoom shorter than this is widened: the finest step is a second. */
const SHORTEST_ZOOM_MS = 10_000;

/**
 * Fires "change" when the span, or whether it follows the clock, has changed.
 */
export class TimeView extends EventTarget {
  /** What is asked of the server. @type {TimeRange} */
  range;
  /** The live span to come back to, ms. */
  liveRangeMs;
  /** While somebody drags over a chart every picture holds still, or the selection would slide. */
  dragging = false;

  /**
   * @param {TimeRange} range
   * @param {number} defaultRangeMs to come back to when the page opens on an absolute span
   */
  constructor(range, defaultRangeMs) {
    super();
    this.range = range;
    this.liveRangeMs = range.endMs === null ? range.rangeMs : defaultRangeMs;
  }

  /** The right edge moves with the clock. */
  get following() {
    return this.range.endMs === null;
  }

  /**
   * @param {number} nowMs by the server's clock
   * @returns {TimeWindow}
   */
  window(nowMs) {
    const toMs = this.range.endMs ?? nowMs;
    return { fromMs: toMs - this.range.rangeMs, toMs };
  }

  /** @param {number} [rangeMs] */
  follow(rangeMs = this.liveRangeMs) {
    this.liveRangeMs = rangeMs;
    this.#set(liveRange(rangeMs));
  }

  /**
   * @param {number} fromMs
   * @param {number} toMs
   */
  show(fromMs, toMs) {
    const missing = SHORTEST_ZOOM_MS - (toMs - fromMs);
    const pad = missing > 0 ? missing / 2 : 0;
    this.#set(absoluteRange(fromMs - pad, toMs + pad));
  }

  /**
   * What is seen now stays: from here on it is an absolute span, so the server need not send, and
   * the page need not keep, what nobody looks at.
   * @param {number} nowMs
   */
  pause(nowMs) {
    if (!this.following) return;
    const { fromMs, toMs } = this.window(nowMs);
    this.#set(absoluteRange(fromMs, toMs));
  }

  /** @param {TimeRange} range */
  #set(range) {
    this.range = range;
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * @param {TimeWindow} wanted
 * @param {TimeWindow} known
 * @returns {number} 0 to 1: how much of the wanted span is known
 */
export function overlap(wanted, known) {
  const span = wanted.toMs - wanted.fromMs;
  const shared = Math.min(wanted.toMs, known.toMs) - Math.max(wanted.fromMs, known.fromMs);
  return span > 0 ? Math.max(0, shared) / span : 0;
}
