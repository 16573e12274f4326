// What the server says: counted, read, handed on by its type. Nonsense is harmless, and reported.

import { decode } from "./binary.js";

/**
 * @typedef {import("../protocol.js").ServerFrame | import("./binary.js").BinaryFrame} ServerFrame
 * @typedef {import("../protocol.js").WelcomeFrame} WelcomeFrame
 * @typedef {import("../protocol.js").ErrorFrame} ErrorFrame
 * @typedef {Exclude<ServerFrame, {type: "welcome" | "heartbeat" | "error" | "bye"}>} AnswerFrame
 *
 * @typedef {object} InboxStats where frames are counted
 * @property {number} framesIn
 * @property {number} bytesIn
 * @property {number} ignored frames that could not be read or are of a kind that is not known here
 * @property {number | null} lastFrameMs
 *
 * @typedef {object} InboxHandlers
 * @property {(serverMs: unknown) => void} onTime the server's clock, before the frame it came in
 * @property {(frame: WelcomeFrame) => void} onWelcome
 * @property {(frame: AnswerFrame) => boolean} onAnswer false: nobody has ever asked for it
 * @property {(frame: ErrorFrame) => void} onError
 * @property {(frame: import("../protocol.js").ByeFrame) => void} onBye
 */

/** Different complaints about frames, so that no server fills the console. */
const MOST_WARNINGS = 20;

export class Inbox {
  #env;
  #stats;
  #handlers;
  /** @type {Set<string>} */
  #warned = new Set();

  /**
   * @param {import("./environment.js").Environment} env
   * @param {InboxStats} stats
   * @param {InboxHandlers} handlers
   */
  constructor(env, stats, handlers) {
    this.#env = env;
    this.#stats = stats;
    this.#handlers = handlers;
  }

  /**
   * @param {unknown} data the raw data of one frame
   * @returns {ServerFrame | null} what it says; null: it cannot be read
   */
  receive(data) {
    this.#stats.framesIn += 1;
    this.#stats.lastFrameMs = this.#env.nowMs();
    const frame = this.#parse(data);
    if (frame === null) return null;
    try {
      this.#handOn(frame);
    } catch (error) {
      this.warnOnce(`callback ${frame.type}`, `A "${frame.type}" frame could not be shown`, error);
    }
    return frame;
  }

  /**
   * Tells the console, unless it has heard of this kind before.
   * @param {string} kind
   * @param {string} sentence
   * @param {unknown} [error]
   */
  warnOnce(kind, sentence, error) {
    if (this.#warned.has(kind) || this.#warned.size >= MOST_WARNINGS) return;
    this.#warned.add(kind);
    this.#env.warn(sentence, error);
  }

  /**
   * @param {unknown} data
   * @returns {ServerFrame | null}
   */
  #parse(data) {
    if (typeof data === "string") {
      this.#stats.bytesIn += data.length;
      try {
        const frame = JSON.parse(data);
        if (typeof frame === "object" && frame !== null) return frame;
      } catch {
        // Counted below.
      }
    } else if (data instanceof ArrayBuffer) {
      this.#stats.bytesIn += data.byteLength;
      const frame = decode(data);
      if (frame !== null) return frame;
    }
    this.#ignore("unreadable", "A frame from the server could not be read");
    return null;
  }

  /** @param {ServerFrame} frame */
  #handOn(frame) {
    switch (frame.type) {
      case "welcome":
        this.#handlers.onTime(frame.server_ms);
        this.#handlers.onWelcome(frame);
        break;
      case "heartbeat":
        this.#handlers.onTime(frame.server_ms);
        break;
      case "snapshot":
      case "update":
      case "events":
      case "metrics":
      case "presence":
      case "stored":
        if (!this.#handlers.onAnswer(frame)) {
          this.#ignore("id", "The server answered a watch that was never asked for");
        }
        break;
      case "error":
        this.#handlers.onError(frame);
        break;
      case "bye":
        this.#handlers.onBye(frame);
        break;
      default: {
        const { type } = /** @type {{type: unknown}} */ (frame);
        this.#ignore(`type ${type}`, `The server sent a frame of the unknown type "${type}"`);
      }
    }
  }

  /**
   * @param {string} kind
   * @param {string} sentence
   */
  #ignore(kind, sentence) {
    this.#stats.ignored += 1;
    this.warnOnce(kind, sentence);
  }
}
