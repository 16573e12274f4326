// What went over the connection while somebody looked: the last of it, as people read it.

import { CLOSE_MEANING } from "../protocol.js";

/**
 * @typedef {import("./inbox.js").ServerFrame} ServerFrame
 *
 * @typedef {object} Entry
 * @property {number} number counts from 1
 * @property {number} timeMs by this device's clock
 * @property {"in" | "out"} direction as this page sees it
 * @property {string} type of the frame; "open" and "close" for the connection itself
 * @property {number | null} id of the watch
 * @property {number} bytes
 * @property {number | null} lagMs how old it was when it came: by the server's clock, or by its
 *   newest time; below zero for a step that has not ended yet
 * @property {string} text what it says, cut off when it is long
 */

const MOST_ENTRIES = 500;
const MOST_CHARACTERS = 2_000;

export class InspectorLog {
  /** Oldest first. @type {Entry[]} */
  entries = [];
  /** Nothing is recorded. */
  paused = false;
  /** How many were not, in this pause. */
  missed = 0;
  #number = 0;
  #now;
  #serverNow;
  #onChange;

  /**
   * @param {() => number} now ms by this device's clock
   * @param {() => number} serverNow ms by the server's
   * @param {() => void} onChange
   */
  constructor(now, serverNow, onChange) {
    this.#now = now;
    this.#serverNow = serverNow;
    this.#onChange = onChange;
  }

  /** @param {string} protocol */
  opened(protocol) {
    this.#add({ direction: "in", type: "open", text: protocol || "no subprotocol" });
  }

  /**
   * @param {unknown} data
   * @param {ServerFrame | null} frame
   */
  received(data, frame) {
    if (this.#skips()) return;
    const text = typeof data === "string" ? data : "";
    const bytes = data instanceof ArrayBuffer ? data.byteLength : byteLength(text);
    this.#add({
      direction: "in",
      type: String(frame?.type ?? "unreadable"),
      id: idOf(frame),
      bytes,
      lagMs: frame === null ? null : this.#lagMs(frame),
      text: text === "" && frame !== null ? described(frame) : cut(text),
    });
  }

  /** @param {string} text */
  sent(text) {
    if (this.#skips()) return;
    const frame = JSON.parse(text);
    // A token is nobody's to read, and exports are passed on.
    const shown = frame.type === "hello" ? JSON.stringify({ ...frame, token: "(hidden)" }) : text;
    const bytes = byteLength(text);
    this.#add({ direction: "out", type: frame.type, id: idOf(frame), bytes, text: cut(shown) });
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {boolean} byUs
   */
  ended(code, reason, byUs) {
    const meaning = /** @type {Record<number, string>} */ (CLOSE_MEANING)[code] ?? "";
    const text = [`${code}`, meaning, reason && `Reason: ${reason}`].filter(Boolean).join(" ");
    this.#add({ direction: byUs ? "out" : "in", type: "close", text: cut(text) });
  }

  clear() {
    this.entries = [];
    this.missed = 0;
    this.#onChange();
  }

  /** @param {boolean} paused */
  pause(paused) {
    this.paused = paused;
    this.missed = 0;
    this.#onChange();
  }

  #skips() {
    if (!this.paused) return false;
    this.missed += 1;
    this.#onChange();
    return true;
  }

  /** @param {Pick<Entry, "direction" | "type" | "text"> & Partial<Entry>} entry */
  #add(entry) {
    if (this.paused) return;
    this.#number += 1;
    const rest = { id: null, bytes: 0, lagMs: null };
    this.entries.push({ number: this.#number, timeMs: this.#now(), ...rest, ...entry });
    if (this.entries.length > MOST_ENTRIES) this.entries.shift();
    this.#onChange();
  }

  /** @param {ServerFrame} frame */
  #lagMs(frame) {
    const sentMs = "server_ms" in frame ? frame.server_ms : newestMs(frame);
    return typeof sentMs === "number" ? Math.round(this.#serverNow() - sentMs) : null;
  }
}

/**
 * @param {Entry} entry
 * @param {string} filter words that must all occur, in any case
 */
export function matches({ direction, type, id, text }, filter) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const all = `${direction} ${type} ${id === null ? "" : `#${id}`} ${text}`.toLowerCase();
  return words.every((word) => all.includes(word));
}

/**
 * @param {readonly Entry[]} entries
 * @returns {string} one JSON object a line
 */
export function jsonLines(entries) {
  return entries
    .map(({ timeMs, direction, type, id, bytes, lagMs, text }) => {
      const time = new Date(timeMs).toISOString();
      return `${JSON.stringify({ time, direction, type, id, bytes, lag_ms: lagMs, text })}\n`;
    })
    .join("");
}

/** @param {any} frame */
function idOf(frame) {
  return typeof frame?.id === "number" ? frame.id : null;
}

/** @param {any} frame */
function newestMs(frame) {
  if (frame.times?.length > 0) return frame.times[frame.times.length - 1];
  const items = frame.events ?? frame.metrics;
  if (!Array.isArray(items)) return null;
  const times = items.map((item) => item?.time).filter(Number.isFinite);
  return times.length > 0 ? Math.max(...times) : null;
}

/**
 * A binary frame in words: what a JSON frame would show first.
 * @param {any} frame
 */
function described({ type: _, id: _id, times, values, series, low, high, ...rest }) {
  const newest = values.map((/** @type {Float64Array} */ row) => row[row.length - 1] ?? null);
  const shape = { rows: values.length, columns: times.length, band: low !== null && high !== null };
  const span = times.length > 0 ? [times[0], times[times.length - 1]] : [];
  return cut(JSON.stringify({ binary: shape, ...rest, times: span, newest: newest.slice(0, 50), series: series.slice(0, 20) }));
}

/** @param {string} text */
function byteLength(text) {
  return new TextEncoder().encode(text).length;
}

/**
 * @param {string} text
 * @returns {string} a copy of its own: a part of a long text would keep all of it in memory
 */
function cut(text) {
  if (text.length <= MOST_CHARACTERS) return text;
  const start = new TextDecoder().decode(new TextEncoder().encode(text.slice(0, MOST_CHARACTERS)));
  return `${start} … (${text.length.toLocaleString("en")} characters)`;
}
