// One WebSocket from opening to its end: silence, goodbyes, and exactly one "lost".

import { Acks } from "./acks.js";
import { Outbox } from "./outbox.js";

/**
 * @typedef {object} Loss
 * @property {number} code close code; 1006 when the connection ended without one
 * @property {string} reason what the server said
 * @property {boolean} silent nothing had been heard, so we gave up on it
 * @property {boolean} opened whether it had been open at all
 * @property {unknown[] | null} retryMs [min, max] of the server's "bye"
 *
 * @typedef {object} ConnectionHandlers
 * @property {(protocol: string) => void} onOpen with the subprotocol that the server has chosen
 * @property {(data: unknown) => void} onMessage the raw data of one frame
 * @property {(text: string) => void} onSent
 * @property {(code: number, reason: string, byUs: boolean) => void} onEnded however it ended, once
 * @property {(loss: Loss) => void} onLost called once, last
 */

/** P7: data that is not live for so long is not shown as live. */
const SILENCE_LIMIT_MS = 5_000;
const OPEN_WITHIN_MS = 10_000;
const CLOSE_AFTER_BYE_MS = 2_000;
/** A timer this late means that the page was held up, so frames may be waiting to be read. */
const HELD_UP_MS = 1_000;
const HELD_UP_GRACE_MS = 250;

/** Ours: nothing was heard in time. */
export const NOT_HEARD = 4410;

export class Connection {
  #env;
  #handlers;
  /** @type {import("./environment.js").SocketLike | null} */
  #socket = null;
  #opened = false;
  #ended = false;
  #received = 0;
  /** @type {Acks | null} */
  #acks = null;
  /** @type {Outbox | null} */
  #outbox = null;
  /** @type {unknown} */
  #limitTimer = null;
  /** @type {unknown} */
  #byeTimer = null;
  #silenceLimitMs = SILENCE_LIMIT_MS;
  #heardMs = 0;
  #dueMs = 0;
  /** @type {{code: number, reason: string, retryMs: unknown[] | null} | null} */
  #bye = null;

  /**
   * @param {string} url
   * @param {readonly string[]} subprotocols those that are understood, the best first
   * @param {import("./wire.js").Wire} env
   * @param {ConnectionHandlers} handlers
   */
  constructor(url, subprotocols, env, handlers) {
    this.#env = env;
    this.#handlers = handlers;
    this.#limitTimer = env.setTimer(() => this.#giveUp(), OPEN_WITHIN_MS);
    try {
      const socket = env.openSocket(url, [...subprotocols]);
      socket.onopen = () => this.#open(socket);
      socket.onmessage = (event) => this.#message(event.data);
      socket.onclose = (event) => this.#closed(event.code, event.reason);
      this.#socket = socket;
    } catch (error) {
      env.warn(`The live connection to ${url} cannot be opened`, error);
      // Not from inside the constructor: the owner does not know this connection yet.
      env.clearTimer(this.#limitTimer);
      this.#limitTimer = env.setTimer(() => this.#closed(1006, ""), 0);
    }
  }

  get isOpen() {
    return this.#opened && !this.#ended;
  }

  /** @param {import("../protocol.js").ClientFrame} frame dropped unless the connection is open */
  send(frame) {
    this.#outbox?.put(frame);
  }

  /** @param {unknown} everyMs at least so often something is heard, as the server says */
  heartbeats(everyMs) {
    if (typeof everyMs === "number") this.#silenceLimitMs = Math.max(SILENCE_LIMIT_MS, 2.5 * everyMs);
  }

  /**
   * From now on the server is told how many messages have arrived.
   * @param {number} everyMs at most once in so long
   */
  acknowledge(everyMs) {
    this.#acks?.stop();
    this.#acks = new Acks(this.#env, everyMs, (frame) => this.send(frame));
  }

  /** Gives up at once when nothing has been heard for too long. */
  checkSilence() {
    if (this.#opened && this.#silentForMs() >= this.#silenceLimitMs) this.#giveUp();
  }

  /**
   * The server has said when to come back; the close follows, or is made.
   * @param {{code?: unknown, reason?: unknown, retry_ms?: unknown}} frame
   */
  bye(frame) {
    this.#bye = {
      code: typeof frame.code === "number" ? frame.code : 1006,
      reason: typeof frame.reason === "string" ? frame.reason : "",
      retryMs: Array.isArray(frame.retry_ms) ? frame.retry_ms : null,
    };
    this.#env.clearTimer(this.#byeTimer);
    this.#byeTimer = this.#env.setTimer(() => this.#giveUp(), CLOSE_AFTER_BYE_MS);
  }

  /**
   * Ends it without a word to the owner.
   * @param {number} code
   * @param {string} reason
   */
  close(code, reason) {
    if (!this.#end(code, reason, true)) return;
    try {
      this.#socket?.close(code, reason);
    } catch {
      // A socket that cannot be closed is gone already.
    }
  }

  /** @param {import("./environment.js").SocketLike} socket */
  #open(socket) {
    if (this.#ended) return;
    this.#outbox = new Outbox(this.#env, socket, this.#handlers.onSent);
    this.#opened = true;
    this.#heardMs = this.#env.monotonicMs();
    this.#watchSilence(this.#silenceLimitMs);
    this.#handlers.onOpen(socket.protocol ?? "");
  }

  /** @param {unknown} data */
  #message(data) {
    if (this.#ended) return;
    this.#heardMs = this.#env.monotonicMs();
    this.#received += 1;
    this.#handlers.onMessage(data);
    this.#acks?.received(this.#received);
  }

  #silentForMs() {
    return this.#env.monotonicMs() - this.#heardMs;
  }

  /** @param {number} delayMs */
  #watchSilence(delayMs) {
    this.#env.clearTimer(this.#limitTimer);
    this.#dueMs = this.#env.monotonicMs() + delayMs;
    this.#limitTimer = this.#env.setTimer(() => this.#silenceDue(), delayMs);
  }

  #silenceDue() {
    const silentMs = this.#silentForMs();
    const lateMs = this.#env.monotonicMs() - this.#dueMs;
    if (silentMs < this.#silenceLimitMs) this.#watchSilence(this.#silenceLimitMs - silentMs);
    else if (lateMs >= HELD_UP_MS) this.#watchSilence(HELD_UP_GRACE_MS);
    else this.#giveUp();
  }

  #giveUp() {
    const loss = this.#loss(1006, "", this.#bye === null);
    // close() of a dead peer takes long to be answered: nobody waits for it.
    this.close(NOT_HEARD, "nothing was heard from the server");
    this.#handlers.onLost(loss);
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #closed(code, reason) {
    const loss = this.#loss(code, reason, false);
    if (this.#end(code, reason, false)) this.#handlers.onLost(loss);
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {boolean} silent
   * @returns {Loss}
   */
  #loss(code, reason, silent) {
    const uncoded = code === 1005 || code === 1006;
    return {
      code: uncoded && this.#bye !== null ? this.#bye.code : code,
      reason: reason || (this.#bye?.reason ?? ""),
      silent,
      opened: this.#opened,
      retryMs: this.#bye?.retryMs ?? null,
    };
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {boolean} byUs
   * @returns {boolean} false when it had ended before
   */
  #end(code, reason, byUs) {
    if (this.#ended) return false;
    this.#ended = true;
    this.#acks?.stop();
    this.#acks = null;
    this.#outbox?.stop();
    this.#outbox = null;
    this.#env.clearTimer(this.#limitTimer);
    this.#env.clearTimer(this.#byeTimer);
    this.#handlers.onEnded(code, reason, byUs);
    return true;
  }
}
