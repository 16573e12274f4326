// What a connection needs of its surroundings, in a page and in a worker.

/**
 * @typedef {Pick<import("./environment.js").Environment,
 *   "openSocket" | "setTimer" | "clearTimer" | "monotonicMs" | "warn">} Wire
 */

/** @type {Readonly<Wire>} */
export const wire = Object.freeze({
  openSocket: (/** @type {string} */ url, /** @type {string[]} */ protocols) => {
    const socket = new WebSocket(url, protocols);
    socket.binaryType = "arraybuffer";
    return socket;
  },
  setTimer: (/** @type {() => void} */ callback, /** @type {number} */ delayMs) =>
    setTimeout(callback, delayMs),
  clearTimer: (/** @type {any} */ timer) => clearTimeout(timer),
  monotonicMs: () => performance.now(),
  warn: (/** @type {string} */ message, /** @type {unknown} */ error) =>
    error === undefined ? console.warn(message) : console.warn(message, error),
});
