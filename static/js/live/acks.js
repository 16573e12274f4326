// Telling the server how much has arrived, for servers that cannot see it themselves.

export class Acks {
  #env;
  #everyMs;
  #send;
  #said = 0;
  #count = 0;
  #saidMs = -Infinity;
  /** @type {unknown} */
  #timer = null;

  /**
   * @param {import("./wire.js").Wire} env
   * @param {number} everyMs at most once in so long
   * @param {(frame: import("../protocol.js").AckFrame) => void} send
   */
  constructor(env, everyMs, send) {
    this.#env = env;
    this.#everyMs = everyMs;
    this.#send = send;
  }

  /**
   * Speaks at once where it may: in a hidden tab timers come late, messages do not.
   * @param {number} count messages received on this socket so far
   */
  received(count) {
    this.#count = count;
    if (this.#timer !== null) return;
    const waitMs = this.#saidMs + this.#everyMs - this.#env.monotonicMs();
    if (waitMs <= 0) this.#say();
    else this.#timer = this.#env.setTimer(() => this.#say(), waitMs);
  }

  stop() {
    this.#env.clearTimer(this.#timer);
    this.#timer = null;
  }

  #say() {
    this.stop();
    if (this.#count === this.#said) return;
    this.#said = this.#count;
    this.#saidMs = this.#env.monotonicMs();
    this.#send({ type: "ack", frames: this.#count });
  }
}
