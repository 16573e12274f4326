// A tab as the worker that holds its connection sees it: what it watches, and whether it keeps up.

/**
 * What goes between a tab and the worker, besides the frames themselves (text or binary, as they are):
 * @typedef {{type: "open", url: string, protocols: string[], lock: string}
 *   | {type: "mark", number: number}
 *   | {type: "close", code: number}} FromTab
 * @typedef {{type: "joined", lock: string}
 *   | {type: "alone"}
 *   | {type: "open", protocol: string}
 *   | {type: "mark", number: number}
 *   | {type: "close", code: number, reason: string, alone: boolean}} ToTab
 *   joined: the worker is there, and holds `lock` while it is. alone: the tab goes on by itself.
 *
 * @typedef {object} Port the part of MessagePort that is used
 * @property {(message: any, options?: {transfer: ArrayBuffer[]}) => void} postMessage
 * @property {((event: any) => void) | null} onmessage
 * @property {() => void} close
 */

/** How often a mark goes with the frames. A tab sends marks back when it comes to them. */
const MARK_EVERY_MS = 500;
/** A tab this far behind is cut off; heartbeats see to it that it is noticed 2 s later at most. */
const BEHIND_MS = 5_000;
/** The same, whatever the time: what may wait for one tab. */
const BEHIND_BYTES = 32 * 1024 * 1024;

export class Tab {
  /** Ids on the shared socket by the tab's own. @type {Map<number, number>} */
  ids = new Map();
  #env;
  #port;
  /** Sent, and not come back yet: the oldest first. @type {{number: number, atMs: number, bytes: number}[]} */
  #marks = [];
  #lastMark = 0;
  #markedMs = -Infinity;
  /** Since the last mark. */
  #bytes = 0;
  #waitingBytes = 0;

  /**
   * @param {Pick<import("./wire.js").Wire, "monotonicMs">} env
   * @param {Port} port
   */
  constructor(env, port) {
    this.#env = env;
    this.#port = port;
  }

  /** @returns {boolean} it does not take what is sent to it */
  get isBehind() {
    if (this.#marks.length === 0) return false;
    return (
      this.#waitingBytes > BEHIND_BYTES ||
      this.#env.monotonicMs() - this.#marks[0].atMs > BEHIND_MS
    );
  }

  /**
   * Hands it a frame of the server.
   * @param {string | ArrayBuffer} frame
   * @param {ArrayBuffer[]} [transfer] given away instead of copied
   */
  put(frame, transfer = []) {
    const bytes = typeof frame === "string" ? 2 * frame.length : frame.byteLength;
    this.#bytes += bytes;
    this.#waitingBytes += bytes;
    this.#port.postMessage(frame, { transfer });
    const now = this.#env.monotonicMs();
    if (now - this.#markedMs < MARK_EVERY_MS) return;
    this.#markedMs = now;
    this.#lastMark += 1;
    this.#marks.push({ number: this.#lastMark, atMs: now, bytes: this.#bytes });
    this.#bytes = 0;
    this.tell({ type: "mark", number: this.#lastMark });
  }

  /** A mark came back: everything before it was taken. @param {number} number */
  cameBack(number) {
    while (this.#marks.length > 0 && this.#marks[0].number <= number) {
      this.#waitingBytes -= this.#marks[0].bytes;
      this.#marks.shift();
    }
  }

  /** @param {ToTab} message */
  tell(message) {
    this.#port.postMessage(message);
  }
}
