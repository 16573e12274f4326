// A browser and a server that tests drive by hand: no real time, no real socket.

import { LiveClient } from "../../static/js/live/client.js";

const START_MS = 1_790_000_000_000;

/** The server's end of one connection, and the WebSocket that the client holds. */
export class FakeSocket {
  bufferedAmount = 0;
  /** @type {any} */
  onopen = null;
  /** @type {any} */
  onmessage = null;
  /** @type {any} */
  onclose = null;
  /** Frames that the client has sent. @type {any[]} */
  received = [];
  /** How the client closed it. @type {{code: number | undefined, reason: string | undefined} | null} */
  closedByClient = null;

  /**
   * @param {string} url
   * @param {string[]} protocols
   */
  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
  }

  /** @param {string} text */
  send(text) {
    this.received.push(JSON.parse(text));
  }

  /** @param {number} [code] @param {string} [reason] */
  close(code, reason) {
    this.closedByClient = { code, reason };
  }

  // What the server does:

  open() {
    this.onopen?.({});
  }

  /** @param {unknown} frame */
  says(frame) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  /** @param {unknown} data */
  saysRaw(data) {
    this.onmessage?.({ data });
  }

  /** @param {object} [more] */
  welcome(more = {}) {
    this.open();
    this.says({
      type: "welcome",
      version: 1,
      server_ms: START_MS,
      tick_ms: 50,
      heartbeat_ms: 2000,
      limits: { message_bytes: 65_536, watches: 100, points: 11_000, series: 1000 },
      ...more,
    });
  }

  /** @param {number} code @param {string} [reason] */
  drops(code, reason = "") {
    this.onclose?.({ code, reason });
  }

  /** @param {string} type */
  requests(type) {
    return this.received.filter((frame) => frame.type === type);
  }
}

/** @typedef {{at: number, callback: () => void}} Timer */

export class World {
  ms = 0;
  online = true;
  randomValue = 0.5;
  /** @type {FakeSocket[]} */
  sockets = [];
  /** @type {string[]} */
  warnings = [];
  /** @type {Set<Timer>} */
  timers = new Set();
  /** @type {((change: import("../../static/js/live/environment.js").PageChange) => void) | null} */
  page = null;

  /** Ways to go where no socket can be opened. @type {import("../../static/js/live/fallback.js").Fallback[]} */
  fallbacks = [];
  /** What the tab remembers of them. @type {{label: string, sinceMs: number} | null} */
  remembered = null;

  /** @returns {import("../../static/js/live/environment.js").Environment} */
  get environment() {
    return {
      openSocket: (url, protocols) => {
        const socket = new FakeSocket(url, protocols);
        this.sockets.push(socket);
        return socket;
      },
      fallbacks: this.fallbacks,
      fetch: () => Promise.reject(new Error("nothing is asked for by HTTP here")),
      recall: () => this.remembered,
      remember: (way) => {
        this.remembered = way;
      },
      setTimer: (callback, delayMs) => {
        const timer = { at: this.ms + Math.max(0, delayMs), callback };
        this.timers.add(timer);
        return timer;
      },
      clearTimer: (timer) => {
        this.timers.delete(timer);
      },
      nowMs: () => START_MS + this.ms,
      monotonicMs: () => this.ms,
      random: () => this.randomValue,
      isOnline: () => this.online,
      listen: (onChange) => {
        this.page = onChange;
        return () => {
          this.page = null;
        };
      },
      warn: (message) => {
        this.warnings.push(message);
      },
    };
  }

  /** @param {Partial<import("../../static/js/live/client.js").ClientOptions>} [options] */
  client(options = {}) {
    return new LiveClient({ url: "ws://host/live/", environment: this.environment, ...options });
  }

  /** @returns {FakeSocket} the newest */
  get socket() {
    return this.sockets[this.sockets.length - 1];
  }

  /**
   * Lets time pass, running the timers that fall due in their order.
   * @param {number} durationMs
   */
  pass(durationMs) {
    const until = this.ms + durationMs;
    for (;;) {
      const due = [...this.timers].filter((t) => t.at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.timers.delete(due);
      this.ms = Math.max(this.ms, due.at);
      due.callback();
    }
    this.ms = until;
  }

  /**
   * The page does not run for a while (a long task, a sleeping laptop): timers fire late.
   * @param {number} durationMs
   */
  freeze(durationMs) {
    this.ms += durationMs;
  }

  /**
   * Time passes with the server alive.
   * @param {number} durationMs
   */
  passWithHeartbeats(durationMs) {
    for (let passed = 0; passed < durationMs; passed += 1000) {
      this.pass(1000);
      this.socket.says({ type: "heartbeat", server_ms: START_MS + this.ms });
    }
  }
}

export { START_MS };

/**
 * Repeatable "random" numbers in [0, 1).
 * @param {number} seed
 */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
