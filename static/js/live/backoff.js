// How long to wait before connecting again.

/** Full jitter: a random time between 0 and a bound that doubles with every attempt. */
export class Backoff {
  #attempts = 0;
  #baseMs;
  #capMs;
  #random;

  /** @param {{baseMs?: number, capMs?: number, random?: () => number}} [options] */
  constructor({ baseMs = 500, capMs = 10_000, random = Math.random } = {}) {
    this.#baseMs = baseMs;
    this.#capMs = capMs;
    this.#random = random;
  }

  /** @returns {number} ms to wait before the next attempt */
  next() {
    // 2 ** 30 is far beyond any cap, and stays a finite number.
    const boundMs = Math.min(this.#capMs, this.#baseMs * 2 ** Math.min(this.#attempts, 30));
    this.#attempts += 1;
    return this.#random() * boundMs;
  }

  /** @returns {number} ms: a long wait, for when trying again soon would only repeat the failure */
  nextSlow() {
    this.#attempts += 1;
    return this.between(this.#capMs / 2, this.#capMs);
  }

  /**
   * @param {number} minMs
   * @param {number} maxMs
   */
  between(minMs, maxMs) {
    return minMs + this.#random() * Math.max(0, maxMs - minMs);
  }

  /** Forgets the failures: the connection has held. */
  reset() {
    this.#attempts = 0;
  }
}
