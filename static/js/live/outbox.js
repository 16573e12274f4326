// Frames on their way to the server: in order, no faster than it allows, nothing that is outdated.

/** @typedef {import("../protocol.js").ClientFrame} ClientFrame */

const BUFFER_LIMIT_BYTES = 64 * 1024;
const BUFFER_RETRY_MS = 50;
// Well inside what the server takes (150 at once, 50 a second), also when the network holds frames
// up for two seconds and delivers them together. All watches of a connection fit into one burst.
const BURST_FRAMES = 100;
const FRAMES_PER_SECOND = 20;

export class Outbox {
  #env;
  #socket;
  #onSent;
  /** @type {ClientFrame[]} */
  #waiting = [];
  #allowed = BURST_FRAMES;
  #refilledMs;
  /** @type {unknown} */
  #timer = null;

  /**
   * @param {import("./wire.js").Wire} env
   * @param {import("./environment.js").SocketLike} socket an open one
   * @param {(text: string) => void} onSent
   */
  constructor(env, socket, onSent) {
    this.#env = env;
    this.#socket = socket;
    this.#onSent = onSent;
    this.#refilledMs = env.monotonicMs();
  }

  /** @param {ClientFrame} frame */
  put(frame) {
    if (frame.type === "unwatch" && this.#takeBack(frame.id)) return;
    // Of acknowledgements only the newest says something.
    if (frame.type === "ack") this.#waiting = this.#waiting.filter(({ type }) => type !== "ack");
    this.#waiting.push(frame);
    this.#flush();
  }

  stop() {
    this.#env.clearTimer(this.#timer);
    this.#waiting = [];
  }

  /**
   * @param {number} id of a watch
   * @returns {boolean} true: it had not been asked for yet, and now never will be
   */
  #takeBack(id) {
    const asked = this.#waiting.findIndex((frame) => "id" in frame && frame.id === id);
    if (asked < 0) return false;
    this.#waiting.splice(asked, 1);
    return true;
  }

  #flush() {
    this.#env.clearTimer(this.#timer);
    const now = this.#env.monotonicMs();
    const earned = ((now - this.#refilledMs) * FRAMES_PER_SECOND) / 1000;
    this.#allowed = Math.min(BURST_FRAMES, this.#allowed + earned);
    this.#refilledMs = now;
    while (this.#allowed >= 1 && this.#socket.bufferedAmount <= BUFFER_LIMIT_BYTES) {
      const frame = this.#waiting.shift();
      if (frame === undefined) return;
      const text = JSON.stringify(frame);
      this.#socket.send(text);
      this.#allowed -= 1;
      this.#onSent(text);
    }
    if (this.#waiting.length > 0) {
      this.#timer = this.#env.setTimer(() => this.#flush(), BUFFER_RETRY_MS);
    }
  }
}
