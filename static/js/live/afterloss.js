// What the end of a connection means: come back (when?), wait for a sign-in, or stay away.

import { CLOSE } from "../protocol.js";

/**
 * @typedef {object} Decision
 * @property {"retry" | "signed-out" | "stop"} action
 * @property {string} sentence what happened, for people
 * @property {number} waitMs until the next attempt
 * @property {number} notBeforeMs even when the network returns or the page is looked at
 * @property {boolean} forgetCursors the server wants everybody to start afresh
 */

/** Longest wait that a server can ask for. */
const LONGEST_WAIT_MS = 600_000;

/** @type {Record<number, string>} */
const SENTENCES = {
  1000: "The server ended the connection.",
  1001: "The server is going away.",
  1002: "The server and this page did not understand each other (1002).",
  1003: "The server does not take what this page sent (1003).",
  1005: "The connection ended without a reason.",
  1006: "The connection broke off: the network is interrupted or the server has stopped.",
  1007: "The server could not read what this page sent (1007).",
  1008: "The server's rules do not allow this connection (1008).",
  1009: "This page sent a message that is too large for the server (1009).",
  1011: "The server ran into an error of its own (1011).",
  [CLOSE.RESTART]: "The server is restarting.",
  1013: "The server is too busy at the moment.",
  1015: "The secure connection could not be made.",
  [CLOSE.BAD_MESSAGE]: "The server did not understand this page (4400).",
  [CLOSE.UNAUTHENTICATED]: "You are signed out. Sign in again to go on.",
  [CLOSE.FORBIDDEN]: "You are not allowed to watch here.",
  [CLOSE.NOT_FOUND]: "There is no live connection at this address.",
  [CLOSE.SLOW]: "This page was too slow to read its updates, so the server closed its connection.",
  [CLOSE.NO_PONG]: "The server heard nothing from this page for too long.",
  [CLOSE.RESYNC]: "The server asked this page to load its data afresh.",
  [CLOSE.RATE_LIMITED]: "The server asked this page to slow down.",
};

/** Coming back soon would only repeat these. @type {ReadonlySet<number>} */
const SLOW = new Set([1002, 1003, 1007, 1008, 1009, CLOSE.BAD_MESSAGE]);

/**
 * Finds the wait in a reason such as "retry_ms=5000", "come back in 12 s", "wait 300 ms".
 * @param {string} reason
 * @returns {number | null} ms
 */
export function waitInReason(reason) {
  const keyed = /retry_?(?:after)?_?ms\W{0,4}(\d{1,9})/i.exec(reason);
  if (keyed !== null) return Math.min(LONGEST_WAIT_MS, Number(keyed[1]));
  const timed = /(\d{1,9}(?:\.\d{1,6})?)\s*(ms|milliseconds?|s|sec|seconds?|min|minutes?)\b/i.exec(
    reason,
  );
  if (timed === null) return null;
  const unit = timed[2].toLowerCase();
  const unitMs = unit.startsWith("ms") || unit.startsWith("mil") ? 1 : unit[0] === "s" ? 1000 : 60_000;
  return Math.min(LONGEST_WAIT_MS, Number(timed[1]) * unitMs);
}

/**
 * @param {unknown[] | null} window [min, max] of a "bye"
 * @returns {[number, number] | null} ms, sane
 */
function retryWindow(window) {
  const [min, max] = (window ?? []).map((x) => (typeof x === "number" && x >= 0 ? x : NaN));
  if (min === undefined || Number.isNaN(min)) return null;
  const minMs = Math.min(LONGEST_WAIT_MS, min);
  return [minMs, Number.isFinite(max) ? Math.max(minMs, Math.min(LONGEST_WAIT_MS, max)) : minMs];
}

/**
 * @param {import("./socket.js").Loss} loss
 * @returns {string}
 */
function sentenceFor(loss) {
  if (loss.silent && loss.opened) return "Nothing was heard from the server for some seconds.";
  if (loss.silent) return "The server does not answer.";
  if (loss.code === 1006 && !loss.opened) return "The server cannot be reached.";
  const known = SENTENCES[loss.code] ?? `The connection was closed with code ${loss.code}.`;
  const terminal = loss.code === CLOSE.FORBIDDEN || loss.code === CLOSE.NOT_FOUND;
  return terminal && loss.reason ? `${known} The server says: ${loss.reason}` : known;
}

/**
 * @param {import("./socket.js").Loss} loss
 * @param {import("./backoff.js").Backoff} backoff
 * @returns {Decision}
 */
export function afterLoss(loss, backoff) {
  const decision = {
    action: /** @type {Decision["action"]} */ ("retry"),
    sentence: sentenceFor(loss),
    waitMs: 0,
    notBeforeMs: 0,
    forgetCursors: loss.code === CLOSE.RESYNC,
  };
  if (loss.code === CLOSE.UNAUTHENTICATED) return { ...decision, action: "signed-out" };
  if (loss.code === CLOSE.FORBIDDEN || loss.code === CLOSE.NOT_FOUND) {
    return { ...decision, action: "stop" };
  }
  const window = retryWindow(loss.retryMs);
  const asked = loss.code === CLOSE.RATE_LIMITED ? waitInReason(loss.reason) : null;
  if (asked !== null) {
    return { ...decision, waitMs: asked + backoff.next(), notBeforeMs: asked };
  }
  if (window !== null) {
    return { ...decision, waitMs: backoff.between(...window), notBeforeMs: window[0] };
  }
  if (loss.code === CLOSE.RATE_LIMITED || SLOW.has(loss.code)) {
    const waitMs = backoff.nextSlow();
    return { ...decision, waitMs, notBeforeMs: waitMs };
  }
  return { ...decision, waitMs: backoff.next() };
}
