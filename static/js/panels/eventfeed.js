// The events of a page: one watch for all of its panels.

/**
 * @typedef {import("../live/watches.js").LiveEvent} LiveEvent
 * @typedef {import("../live/watches.js").EventsHandlers} EventsHandlers
 */

/** So many of the newest are kept, and asked for: the server has no more. */
const MOST_EVENTS = 1_000;

/**
 * @param {readonly LiveEvent[]} known
 * @param {readonly LiveEvent[]} fresh in any order
 * @param {number} [most] those that were stored last stay
 * @returns {LiveEvent[]} by their times, the oldest first, each once
 */
export function inOrder(known, fresh, most = MOST_EVENTS) {
  const each = new Map([...known, ...fresh].map((event) => [event.id, event]));
  const newest = [...each.values()].sort((a, b) => b.id - a.id).slice(0, most);
  return newest.sort((a, b) => a.time - b.time || a.id - b.id);
}

export class EventFeed {
  /** By their times, the oldest first. @type {readonly LiveEvent[]} */
  events = [];
  #answered = false;
  /** @type {import("../live/watches.js").WatchError | null} */
  #error = null;
  /** @type {Set<EventsHandlers>} */
  #followers = new Set();

  /**
   * Call it after everything else was asked for: panels that draw a query come first.
   * @param {import("../live/client.js").LiveClient} client
   */
  start(client) {
    if (this.#followers.size === 0) return;
    client.watchEvents(
      { limit: MOST_EVENTS },
      {
        onEvents: (events, first) => {
          this.events = inOrder(this.events, events);
          this.#answered = true;
          this.#error = null;
          for (const follower of this.#followers) follower.onEvents(events, first);
        },
        onError: (error) => {
          this.#error = error;
          for (const follower of this.#followers) follower.onError?.(error);
        },
      },
    );
  }

  /** @param {EventsHandlers} follower told what is known now, and then what is new */
  follow(follower) {
    this.#followers.add(follower);
    if (this.#answered) follower.onEvents([...this.events], true);
    else if (this.#error !== null) follower.onError?.(this.#error);
  }
}
