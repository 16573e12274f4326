// What is watched over HTTP, and how far each watch has been answered: enough to ask any process.

/** @typedef {import("../protocol.js").ClientFrame} ClientFrame */

export class WatchLedger {
  /** @type {Map<number, any>} */
  #watches = new Map();

  get isEmpty() {
    return this.#watches.size === 0;
  }

  /** @returns {ClientFrame[]} what to ask for so that everything goes on where it is */
  questions() {
    return [...this.#watches.values()];
  }

  /** @param {any} frame of the page */
  said(frame) {
    if (frame.type === "unwatch") this.#watches.delete(frame.id);
    else if (frame.type.startsWith("watch")) this.#watches.set(frame.id, { ...frame });
  }

  /** @param {any} frame of the server */
  heard(frame) {
    const watch = this.#watches.get(frame.id);
    if (watch === undefined) return;
    const isOver = frame.type === "error" || (typeof watch.end_ms === "number");
    if (isOver) this.#watches.delete(frame.id);
    else if (typeof frame.cursor === "string" && frame.cursor !== "") watch.cursor = frame.cursor;
  }
}
