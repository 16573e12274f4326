// All watches of a page by their ids, and the asking for them.

import { waitInReason } from "./afterloss.js";

/** @typedef {import("./watches.js").Watch} Watch */

/** Errors of a watch that may pass by themselves. */
const PASSING_ERRORS = new Set(["rate_limited", "internal"]);
const ASK_AGAIN_BASE_MS = 1_000;
const ASK_AGAIN_CAP_MS = 30_000;

export class WatchRegistry {
  /** Watches asked for afresh because a frame did not continue what was there. */
  resyncs = 0;
  #env;
  #send;
  /** @type {Map<number, Watch>} */
  #watches = new Map();
  // In order of creation from 1: pages of the same dashboard use the same ids.
  #nextId = 1;
  #connected = false;

  /**
   * @param {import("./environment.js").Environment} env
   * @param {(frame: import("../protocol.js").ClientFrame) => void} send
   */
  constructor(env, send) {
    this.#env = env;
    this.#send = send;
  }

  /**
   * @template {Watch} W
   * @param {W} watch
   * @returns {W}
   */
  add(watch) {
    this.#give(watch);
    if (this.#connected) this.#ask(watch);
    return watch;
  }

  /**
   * Asks for what the watch wants now. A new id keeps late frames of the old question out.
   * @param {Watch} watch
   */
  renew(watch) {
    this.#env.clearTimer(watch.retryTimer);
    watch.retryTimer = null;
    if (watch.stopped || !watch.sent) return;
    this.#send({ type: "unwatch", id: watch.id });
    this.#watches.delete(watch.id);
    this.#give(watch);
    this.#ask(watch);
  }

  /** @param {Watch} watch */
  remove(watch) {
    this.#env.clearTimer(watch.retryTimer);
    this.#watches.delete(watch.id);
    if (watch.sent) this.#send({ type: "unwatch", id: watch.id });
    watch.sent = false;
  }

  removeAll() {
    for (const watch of [...this.#watches.values()]) watch.stop();
  }

  /** The server is ready to be asked. */
  connected() {
    this.#connected = true;
    for (const watch of this.#watches.values()) {
      this.#env.clearTimer(watch.retryTimer);
      watch.retryTimer = null;
      this.#ask(watch);
    }
  }

  /** @param {{forgetCursors: boolean}} how */
  disconnected({ forgetCursors }) {
    this.#connected = false;
    for (const watch of this.#watches.values()) {
      watch.connectionChanged();
      if (forgetCursors) watch.cursor = null;
    }
  }

  /**
   * @param {any} frame with an id
   * @returns {boolean} false: the id has never been given to a watch
   */
  deliver(frame) {
    const watch = this.#watches.get(frame.id);
    if (watch === undefined) return this.#wasGiven(frame.id);
    if (watch.receive(frame) === "unfit") {
      this.resyncs += 1;
      this.#askLater(watch, 0);
    }
    return true;
  }

  /**
   * @param {number} id
   * @param {import("./watches.js").WatchError} error
   * @returns {boolean} false: the id has never been given to a watch
   */
  fail(id, error) {
    const watch = this.#watches.get(id);
    if (watch === undefined) return this.#wasGiven(id);
    if (PASSING_ERRORS.has(error.code)) this.#askLater(watch, waitInReason(error.message) ?? 0);
    watch.fail(error);
    return true;
  }

  /**
   * Frames of what was watched before may still be under way.
   * @param {unknown} id
   */
  #wasGiven(id) {
    return typeof id === "number" && Number.isInteger(id) && id > 0 && id < this.#nextId;
  }

  /** @param {Watch} watch */
  #give(watch) {
    watch.id = this.#nextId;
    this.#nextId += 1;
    this.#watches.set(watch.id, watch);
  }

  /** @param {Watch} watch */
  #ask(watch) {
    watch.sent = true;
    this.#send(watch.request());
  }

  /**
   * @param {Watch} watch
   * @param {number} leastMs
   */
  #askLater(watch, leastMs) {
    watch.startAfresh();
    if (watch.retryTimer !== null) return;
    const boundMs = Math.min(ASK_AGAIN_CAP_MS, ASK_AGAIN_BASE_MS * 2 ** Math.min(watch.failures, 10));
    watch.failures += 1;
    const waitMs = leastMs + boundMs * (0.5 + this.#env.random() / 2);
    watch.retryTimer = this.#env.setTimer(() => this.renew(watch), waitMs);
  }
}
