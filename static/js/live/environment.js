// What the live client needs from the browser, in one place, so that tests can stand in for it.

/**
 * @typedef {object} SocketLike the part of WebSocket that is used
 * @property {number} bufferedAmount bytes not yet handed to the network
 * @property {(data: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 *
 * @typedef {"online" | "offline" | "visible"} PageChange
 *
 * @typedef {object} Environment
 * @property {(url: string, protocols: string[]) => SocketLike} openSocket
 * @property {(callback: () => void, delayMs: number) => unknown} setTimer
 * @property {(timer: any) => void} clearTimer
 * @property {() => number} nowMs wall clock, for people
 * @property {() => number} monotonicMs for intervals: not moved when the wall clock is set
 * @property {() => number} random in [0, 1)
 * @property {() => boolean} isOnline false only when the browser is sure that there is no network
 * @property {(onChange: (change: PageChange) => void) => () => void} listen returns how to stop
 * @property {(message: string, error?: unknown) => void} warn
 */

/**
 * @param {(change: PageChange) => void} onChange
 * @returns {() => void}
 */
function listenToPage(onChange) {
  const online = () => onChange("online");
  const offline = () => onChange("offline");
  const visibility = () => {
    if (document.visibilityState === "visible") onChange("visible");
  };
  window.addEventListener("online", online);
  window.addEventListener("offline", offline);
  window.addEventListener("pageshow", visibility);
  document.addEventListener("visibilitychange", visibility);
  return () => {
    window.removeEventListener("online", online);
    window.removeEventListener("offline", offline);
    window.removeEventListener("pageshow", visibility);
    document.removeEventListener("visibilitychange", visibility);
  };
}

/** @type {Readonly<Environment>} */
export const browser = Object.freeze({
  openSocket: (/** @type {string} */ url, /** @type {string[]} */ protocols) =>
    new WebSocket(url, protocols),
  setTimer: (/** @type {() => void} */ callback, /** @type {number} */ delayMs) =>
    setTimeout(callback, delayMs),
  clearTimer: (/** @type {any} */ timer) => clearTimeout(timer),
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  random: () => Math.random(),
  isOnline: () => navigator.onLine !== false,
  listen: listenToPage,
  warn: (/** @type {string} */ message, /** @type {unknown} */ error) =>
    error === undefined ? console.warn(message) : console.warn(message, error),
});

/**
 * @param {string} path such as "/live/"
 * @returns {string} the address of the socket on this page's own host
 */
export function socketUrl(path) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}${path}`;
}
