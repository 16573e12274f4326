// Events on a time axis: a line for each, and what it says where the cursor is near.

/** @import uPlot from "../../vendor/uplot/uPlot.esm.js" */

import { h } from "./dom.js";
import { dateAndClock } from "./times.js";

/** @typedef {import("../live/watches.js").LiveEvent} LiveEvent */

/** So many are drawn on a chart, the newest of its span. */
export const MOST_MARKERS = 100;
const MOST_NOTES = 3;
const NEAR_PX = 5;
/** A finger is less exact. */
const NEAR_TOUCHED_PX = 16;
const DASH_PX = [3, 3];
const FLAG_PX = 5;
/** The label that says who has annotated: the server sets it. */
const AUTHOR = "author";

/**
 * @param {readonly LiveEvent[]} events by their times
 * @param {number} timeMs
 * @returns {number} the first position whose time is not before it
 */
function firstAt(events, timeMs) {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle].time < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * @param {readonly LiveEvent[]} events by their times
 * @param {number} fromMs
 * @param {number} toMs included
 * @param {number} [most]
 * @returns {LiveEvent[]} the newest of them
 */
export function inSpan(events, fromMs, toMs, most = MOST_MARKERS) {
  const end = firstAt(events, toMs + 1);
  return events.slice(Math.max(firstAt(events, fromMs), end - most), end);
}

/**
 * @param {LiveEvent} event
 * @returns {{author: string, labels: string[]}} "by ann", "app=shop"
 */
function signed({ labels }) {
  const { [AUTHOR]: author, ...others } = labels ?? {};
  const shown = Object.entries(others).map(([name, value]) => `${name}=${value}`);
  return { author: author === undefined ? "" : `by ${author}`, labels: shown };
}

/**
 * @param {LiveEvent} event
 * @returns {string} for those who hear it
 */
export function spoken(event) {
  const { author, labels } = signed(event);
  return [`${dateAndClock(event.time)}, event: ${event.title}`, event.text, author, ...labels]
    .map((part) => part.replace(/[.\s]+$/, ""))
    .filter((part) => part !== "")
    .join(". ");
}

/**
 * @param {readonly LiveEvent[]} events
 * @returns {HTMLElement[]} for a tooltip
 */
export function notes(events) {
  const shown = events.slice(-MOST_NOTES).map((event) => {
    const { author, labels } = signed(event);
    const about = [dateAndClock(event.time), author, ...labels].filter((part) => part !== "");
    return h(
      "div",
      { class: "marker-note" },
      h("p", { class: "marker-title", text: event.title }),
      event.text ? h("p", { class: "marker-text", text: event.text }) : null,
      h("p", { class: "marker-about", text: about.join(" · ") }),
    );
  });
  const more = events.length - shown.length;
  if (more > 0) shown.push(h("div", { class: "tooltip-time", text: `and ${more} more events` }));
  return shown;
}

export class Markers {
  #feed;
  #palette;
  #nearPx = matchMedia("(pointer: coarse)").matches ? NEAR_TOUCHED_PX : NEAR_PX;

  /** @param {Pick<import("./types.js").PanelContext, "events" | "palette">} context */
  constructor({ events, palette }) {
    this.#feed = events;
    this.#palette = palette;
  }

  /** @param {() => void} changed there are others to draw */
  follow(changed) {
    this.#feed.follow({
      onEvents: (events) => {
        if (events.length > 0) changed();
      },
    });
  }

  /**
   * As the last thing of each drawing.
   * @param {uPlot} u
   */
  draw(u) {
    if (this.#feed.events.length === 0) return;
    const events = this.#inSight(u);
    if (events.length === 0) return;
    const ratio = devicePixelRatio;
    const { ctx, bbox } = u;
    const flag = FLAG_PX * ratio;
    const lines = new Path2D();
    const flags = new Path2D();
    let before = NaN;
    for (const { time } of events) {
      const x = Math.round(u.valToPos(time, "x", true));
      if (x === before) continue;
      before = x;
      // Half a pixel: a line of odd width then covers whole ones.
      lines.moveTo(x + 0.5, bbox.top);
      lines.lineTo(x + 0.5, bbox.top + bbox.height);
      flags.moveTo(x + 0.5 - flag, bbox.top);
      flags.lineTo(x + 0.5 + flag, bbox.top);
      flags.lineTo(x + 0.5, bbox.top + flag * 1.4);
      flags.closePath();
    }
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = this.#palette.get("accent");
    ctx.lineWidth = Math.max(1, Math.round(ratio));
    ctx.setLineDash(DASH_PX.map((px) => px * ratio));
    ctx.stroke(lines);
    ctx.fill(flags);
    ctx.restore();
  }

  /**
   * @param {uPlot} u
   * @returns {LiveEvent[]} those at its cursor
   */
  near(u) {
    const left = u.cursor.left ?? -1;
    if (left < 0 || this.#feed.events.length === 0) return [];
    return inSpan(
      this.#feed.events,
      u.posToVal(left - this.#nearPx, "x"),
      u.posToVal(left + this.#nearPx, "x"),
    );
  }

  /**
   * @param {uPlot} u
   * @param {number} timeMs
   * @param {number} direction -1: before, 1: after
   * @returns {LiveEvent | null} the next one in sight
   */
  beside(u, timeMs, direction) {
    const events = this.#inSight(u);
    const at = direction > 0 ? firstAt(events, Math.floor(timeMs) + 1) : firstAt(events, timeMs) - 1;
    return events[at] ?? null;
  }

  /** @param {uPlot} u */
  #inSight({ scales: { x } }) {
    return inSpan(this.#feed.events, x.min ?? 0, x.max ?? 0);
  }
}
