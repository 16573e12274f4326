// What a page watches: each keeps its request, its cursor and what it has received.

import { SeriesStore } from "./store.js";

/**
 * @typedef {{code: string, message: string}} WatchError
 * @typedef {{expr: string, rangeMs: number, stepMs: number, endMs?: number | null}} QueryParams
 *   `endMs`: null is live; a time asks for an absolute range, which gets no updates
 * @typedef {{
 *   onData: (store: SeriesStore, kind: "snapshot" | "update") => void,
 *   onError?: (error: WatchError) => void,
 * }} QueryHandlers
 *
 * @typedef {import("../protocol.js").EventItem} LiveEvent
 * @typedef {{
 *   onEvents: (events: LiveEvent[], first: boolean) => void,
 *   onError?: (error: WatchError) => void,
 * }} EventsHandlers
 *
 * @typedef {import("../protocol.js").MetricItem} LiveMetric
 * @typedef {{
 *   onMetrics: (metrics: LiveMetric[], first: boolean) => void,
 *   onError?: (error: WatchError) => void,
 * }} MetricsHandlers
 *
 * @typedef {"applied" | "ignored" | "unfit"} Outcome unfit: the watch has to be asked for afresh
 *
 * @typedef {object} Owner what a watch needs from its client
 * @property {(watch: Watch) => void} renew asks again, under a new id
 * @property {(watch: Watch) => void} remove
 */

export class Watch {
  /** Given by the client; changes when something else is asked for. */
  id = 0;
  /** Whether the present connection has been asked. */
  sent = false;
  /** @type {string | null} */
  cursor = null;
  /** Failures in a row, for the wait before asking again. */
  failures = 0;
  /** @type {unknown} */
  retryTimer = null;
  stopped = false;
  #owner;

  /** @param {Owner} owner */
  constructor(owner) {
    this.#owner = owner;
  }

  /** Ends it: no callback is called any more. */
  stop() {
    if (this.stopped) return;
    this.stopped = true;
    this.#owner.remove(this);
  }

  /** What has been received does not answer the present question (any more). */
  startAfresh() {
    this.cursor = null;
  }

  askAgain() {
    this.#owner.renew(this);
  }

  /** A new connection: its first frame is about to come. */
  connectionChanged() {
    this.sent = false;
  }

  /** @returns {import("../protocol.js").ClientFrame} the frame that asks for it */
  request() {
    throw new Error("every kind of watch says what it asks for");
  }

  /**
   * @param {any} _frame with the id of this watch
   * @returns {Outcome}
   */
  receive(_frame) {
    return "ignored";
  }

  /** @param {WatchError} _error */
  fail(_error) {}

  /** @param {any} frame */
  keepCursor(frame) {
    this.cursor = typeof frame.cursor === "string" && frame.cursor !== "" ? frame.cursor : null;
  }
}

export class QueryWatch extends Watch {
  store = new SeriesStore();
  #params;
  #handlers;
  /** The store holds an answer to the present question. */
  #answered = false;

  /**
   * @param {Owner} owner
   * @param {QueryParams} params
   * @param {QueryHandlers} handlers
   */
  constructor(owner, params, handlers) {
    super(owner);
    this.#params = { endMs: null, ...params };
    this.#handlers = handlers;
  }

  /** @returns {Readonly<QueryParams>} */
  get params() {
    return this.#params;
  }

  /**
   * Asks for something else on the same socket. The picture stays until the answer replaces it.
   * @param {Partial<QueryParams>} changes
   */
  update(changes) {
    const next = { ...this.#params, ...changes };
    if (this.stopped || JSON.stringify(next) === JSON.stringify(this.#params)) return;
    this.#params = next;
    this.failures = 0;
    this.startAfresh();
    this.askAgain();
  }

  startAfresh() {
    super.startAfresh();
    this.#answered = false;
  }

  /** @returns {import("../protocol.js").WatchFrame} */
  request() {
    const { expr, rangeMs, stepMs, endMs } = this.#params;
    return {
      type: "watch",
      id: this.id,
      expr,
      // The server takes whole milliseconds only.
      range_ms: Math.round(rangeMs),
      step_ms: Math.round(stepMs),
      ...(typeof endMs === "number" ? { end_ms: Math.round(endMs) } : {}),
      cursor: this.cursor,
    };
  }

  /**
   * @param {any} frame
   * @returns {Outcome}
   */
  receive(frame) {
    if (frame.type === "snapshot") {
      if (!this.store.replace(frame, { keepNewer: this.#answered })) return "unfit";
      this.#answered = true;
    } else if (frame.type === "update") {
      if (!this.#answered) return "ignored";
      if (!this.store.merge(frame)) return "unfit";
      this.#trim();
    } else {
      return "ignored";
    }
    this.keepCursor(frame);
    this.failures = 0;
    this.#handlers.onData(this.store, frame.type);
    return "applied";
  }

  /** @param {WatchError} error */
  fail(error) {
    this.#handlers.onError?.(error);
  }

  #trim() {
    const lastMs = this.store.lastTimeMs;
    if (lastMs !== null) this.store.trim(lastMs - this.#params.rangeMs);
  }
}

/** So many events are remembered, to show each only once. */
const REMEMBERED_EVENTS = 2_000;

export class EventsWatch extends Watch {
  #limit;
  #handlers;
  #first = true;
  /** Oldest first. @type {Set<string>} */
  #seen = new Set();

  /**
   * @param {Owner} owner
   * @param {{limit: number}} params
   * @param {EventsHandlers} handlers
   */
  constructor(owner, { limit }, handlers) {
    super(owner);
    this.#limit = limit;
    this.#handlers = handlers;
  }

  /** @returns {import("../protocol.js").WatchEventsFrame} */
  request() {
    return { type: "watch_events", id: this.id, limit: this.#limit, cursor: this.cursor };
  }

  /**
   * @param {any} frame
   * @returns {Outcome}
   */
  receive(frame) {
    if (frame.type !== "events") return "ignored";
    if (!Array.isArray(frame.events)) return "unfit";
    this.keepCursor(frame);
    this.failures = 0;
    const fresh = frame.events.filter((/** @type {any} */ event) => this.#isNew(event));
    const first = this.#first;
    this.#first = false;
    if (first || fresh.length > 0) this.#handlers.onEvents(fresh, first);
    return "applied";
  }

  /** @param {WatchError} error */
  fail(error) {
    this.#handlers.onError?.(error);
  }

  /** @param {any} event */
  #isNew(event) {
    if (typeof event?.id !== "number") return false;
    const key = `${event.id} ${event.time}`;
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    if (this.#seen.size > REMEMBERED_EVENTS) {
      for (const oldest of this.#seen) {
        this.#seen.delete(oldest);
        break;
      }
    }
    return true;
  }
}

export class MetricsWatch extends Watch {
  #handlers;
  #first = true;

  /**
   * @param {Owner} owner
   * @param {MetricsHandlers} handlers
   */
  constructor(owner, handlers) {
    super(owner);
    this.#handlers = handlers;
  }

  startAfresh() {
    super.startAfresh();
    this.#first = true;
  }

  connectionChanged() {
    super.connectionChanged();
    // Without a cursor every connection begins with the whole list, and it is short.
    this.#first = true;
  }

  /** @returns {import("../protocol.js").WatchMetricsFrame} */
  request() {
    return { type: "watch_metrics", id: this.id };
  }

  /**
   * @param {any} frame
   * @returns {Outcome}
   */
  receive(frame) {
    if (frame.type !== "metrics") return "ignored";
    if (!Array.isArray(frame.metrics)) return "unfit";
    this.failures = 0;
    const first = this.#first;
    this.#first = false;
    this.#handlers.onMetrics(frame.metrics, first);
    return "applied";
  }

  /** @param {WatchError} error */
  fail(error) {
    this.#handlers.onError?.(error);
  }
}
