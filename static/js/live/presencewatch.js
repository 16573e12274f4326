// Being on a dashboard, and seeing who else is.

import { Watch } from "./watches.js";

/**
 * @typedef {import("../protocol.js").Person} Person
 * @typedef {{board: string, away?: boolean}} PresenceParams `board`: the last part of its address
 * @typedef {{
 *   onPeople: (people: Person[], others: number) => void,
 *   onError?: (error: import("./watches.js").WatchError) => void,
 * }} PresenceHandlers
 */

export class PresenceWatch extends Watch {
  #board;
  #away;
  #handlers;

  /**
   * @param {import("./watches.js").Owner} owner
   * @param {PresenceParams} params
   * @param {PresenceHandlers} handlers
   */
  constructor(owner, { board, away = false }, handlers) {
    super(owner);
    this.#board = board;
    this.#away = away;
    this.#handlers = handlers;
  }

  /**
   * Says, on the same connection, that nobody looks at this page now, or that somebody does again.
   * @param {boolean} away
   */
  setAway(away) {
    if (this.stopped || away === this.#away) return;
    this.#away = away;
    this.askAgain();
  }

  /** @returns {import("../protocol.js").WatchPresenceFrame} */
  request() {
    // Without a cursor, as the whole list is short and replaces what is shown.
    return { type: "watch_presence", id: this.id, board: this.#board, away: this.#away };
  }

  /**
   * @param {any} frame
   * @returns {import("./watches.js").Outcome}
   */
  receive(frame) {
    if (frame.type !== "presence") return "ignored";
    if (!Array.isArray(frame.people)) return "unfit";
    this.failures = 0;
    this.#handlers.onPeople(frame.people, typeof frame.others === "number" ? frame.others : 0);
    return "applied";
  }

  /** @param {import("./watches.js").WatchError} error */
  fail(error) {
    this.#handlers.onError?.(error);
  }
}
