// What the page has to say of a moment: sent up the live connection until it is answered.

/**
 * @typedef {{title: string, text: string, timeMs: number}} Annotation
 *
 * @typedef {object} Waiting
 * @property {import("../protocol.js").AnnotateFrame} frame
 * @property {() => void} stored
 * @property {(error: AnnotationRefused) => void} refused
 */

/** A sentence for people, and the `code` of the server's error frame. */
export class AnnotationRefused extends Error {
  /**
   * @param {string} code
   * @param {string} sentence
   */
  constructor(code, sentence) {
    super(sentence);
    this.code = code;
  }
}

/** @returns {string} what nobody else has: crypto.randomUUID is only there over HTTPS */
export function newRef() {
  const parts = [...crypto.getRandomValues(new Uint32Array(4))];
  return parts.map((part) => part.toString(16).padStart(8, "0")).join("");
}

export class Annotations {
  #send;
  #connected = false;
  /** By their refs. @type {Map<string, Waiting>} */
  #waiting = new Map();

  /** @param {(frame: import("../protocol.js").ClientFrame) => void} send */
  constructor(send) {
    this.#send = send;
  }

  /**
   * Without a connection it waits for the next one.
   * @param {string} ref the same again is stored once
   * @param {Annotation} annotation
   * @returns {Promise<void>} fulfilled when it is on the server's disk; rejected with an
   *   AnnotationRefused
   */
  add(ref, { title, text, timeMs }) {
    return new Promise((stored, refused) => {
      /** @type {import("../protocol.js").AnnotateFrame} */
      const frame = { type: "annotate", ref, title, text, time: Math.round(timeMs) };
      this.#waiting.set(ref, { frame, stored, refused });
      if (this.#connected) this.#send(frame);
    });
  }

  /**
   * It is not sent (again). What has left already may still be stored.
   * @param {string} ref
   */
  withdraw(ref) {
    this.#waiting.delete(ref);
  }

  /** The server is ready to be told. What it has not answered may never have reached it. */
  connected() {
    this.#connected = true;
    for (const { frame } of this.#waiting.values()) this.#send(frame);
  }

  /** @param {string} [forGood] why no connection will follow */
  disconnected(forGood) {
    this.#connected = false;
    if (forGood === undefined) return;
    for (const ref of this.#waiting.keys()) this.refused(ref, "closed", forGood);
  }

  /**
   * @param {string} ref
   * @returns {boolean} always true: a ref that is not known here was withdrawn
   */
  stored(ref) {
    const waiting = this.#waiting.get(ref);
    this.#waiting.delete(ref);
    waiting?.stored();
    return true;
  }

  /**
   * @param {string} ref
   * @param {string} code
   * @param {string} sentence
   */
  refused(ref, code, sentence) {
    const waiting = this.#waiting.get(ref);
    this.#waiting.delete(ref);
    waiting?.refused(new AnnotationRefused(code, sentence));
  }
}
