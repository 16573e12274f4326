// What the live client needs from the browser, in one place, so that tests can stand in for it.

import { PollSocket } from "./fallbackpoll.js";
import { StreamSocket } from "./fallbackstream.js";
import { wire } from "./wire.js";

/**
 * @typedef {object} SocketLike the part of WebSocket that is used
 * @property {string} [protocol] that the server has chosen of those offered
 * @property {number} bufferedAmount bytes not yet handed to the network
 * @property {(data: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 *
 * @typedef {import("./fallbackhttp.js").Way} Way
 * @typedef {"online" | "offline" | "visible" | "shared"} PageChange shared: a connection that other
 *   tabs share is open for this one too
 *
 * @typedef {object} Environment
 * @property {(url: string, protocols: string[]) => SocketLike} openSocket
 * @property {readonly import("./fallback.js").Fallback[]} fallbacks in the order of trying
 * @property {(url: string, init: RequestInit) => Promise<Response>} fetch
 * @property {() => {label: string, sinceMs: number} | null} recall the fallback that this tab uses
 * @property {(way: {label: string, sinceMs: number} | null) => void} remember
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

const WAY_KEY = "pulseboard.way";

/** @returns {{label: string, sinceMs: number} | null} */
function recall() {
  try {
    const { label, sinceMs } = JSON.parse(sessionStorage.getItem(WAY_KEY) ?? "null") ?? {};
    return typeof label === "string" && typeof sinceMs === "number" ? { label, sinceMs } : null;
  } catch {
    return null; // storage may be forbidden
  }
}

/** @param {{label: string, sinceMs: number} | null} way */
function remember(way) {
  try {
    if (way === null) sessionStorage.removeItem(WAY_KEY);
    else sessionStorage.setItem(WAY_KEY, JSON.stringify(way));
  } catch {
    // The next page finds out by itself.
  }
}

/** @type {Readonly<Environment>} */
export const browser = Object.freeze({
  ...wire,
  fallbacks: [
    { label: "SSE", open: (/** @type {Way} */ way) => new StreamSocket(way) },
    { label: "polling", open: (/** @type {Way} */ way) => new PollSocket(way) },
  ],
  fetch: (/** @type {string} */ url, /** @type {RequestInit} */ init) => fetch(url, init),
  recall,
  remember,
  nowMs: () => Date.now(),
  random: () => Math.random(),
  isOnline: () => navigator.onLine !== false,
  listen: listenToPage,
});

/**
 * @param {string} path such as "/live/"
 * @returns {string} the address of the socket on this page's own host
 */
export function socketUrl(path) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}${path}`;
}
