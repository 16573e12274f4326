// The server's clock, as well as it can be told from the times in its frames.

/** Estimates are the best of so many: the one whose frame travelled fastest. */
const REMEMBERED = 5;

export class ServerClock {
  #env;
  /** Server time minus our monotonic time. @type {number[]} */
  #offsetsMs = [];

  /** @param {Pick<import("./environment.js").Environment, "nowMs" | "monotonicMs">} env */
  constructor(env) {
    this.#env = env;
  }

  /** @param {unknown} serverMs from a frame that has just arrived */
  observe(serverMs) {
    if (typeof serverMs !== "number" || !Number.isFinite(serverMs)) return;
    this.#offsetsMs.push(serverMs - this.#env.monotonicMs());
    if (this.#offsetsMs.length > REMEMBERED) this.#offsetsMs.shift();
  }

  /** @returns {number} ms since 1970 by the server's clock; by ours until the server has spoken */
  now() {
    if (this.#offsetsMs.length === 0) return this.#env.nowMs();
    // A frame that was under way for long makes the offset too small, never too large.
    return Math.round(this.#env.monotonicMs() + Math.max(...this.#offsetsMs));
  }
}
