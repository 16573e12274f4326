// Which way the frames go: a WebSocket, or where none can be opened SSE, or else long polling.

/**
 * @typedef {object} Fallback one of the other ways, as the environment offers them
 * @property {string} label for people
 * @property {(way: import("./fallbackhttp.js").Way) => import("./environment.js").SocketLike} open
 */

/** A socket that was never open is given up after so many attempts. */
const SOCKET_ATTEMPTS = 2;
/** A stream that opens and then is silent so often is held back by somebody on the way. */
const SILENT_STREAMS = 2;
const SOCKET_AGAIN_MS = 5 * 60_000;
const OPEN_WITHIN_MS = 10_000;

export class Ways {
  #env;
  #url;
  #token;
  #onSocket;
  /** 0: the socket; n: the n-th of the fallbacks. */
  #at = 0;
  #failures = 0;
  /** Ways that were open in this page: who is away now comes back the same way. @type {Set<number>} */
  #worked = new Set();
  /** When this tab went another way, by the wall clock. */
  #sinceMs = 0;
  /** @type {string[]} */
  #protocols = [];
  /** @type {unknown} */
  #probeTimer = null;
  /** @type {import("./environment.js").SocketLike | null} */
  #probe = null;

  /**
   * @param {import("./environment.js").Environment} env
   * @param {{url: string, token?: string}} server
   * @param {() => void} onSocket a socket can be opened after all: connect again
   */
  constructor(env, { url, token }, onSocket) {
    this.#env = env;
    this.#url = url;
    this.#token = token;
    this.#onSocket = onSocket;
    const remembered = env.recall();
    const at = env.fallbacks.findIndex(({ label }) => label === remembered?.label) + 1;
    if (remembered === null || at === 0) return;
    this.#at = at;
    this.#sinceMs = remembered.sinceMs;
  }

  /** @returns {string} empty for the socket */
  get label() {
    return this.#at === 0 ? "" : this.#env.fallbacks[this.#at - 1].label;
  }

  /**
   * In place of the environment's openSocket.
   * @param {string} url
   * @param {string[]} protocols
   */
  open(url, protocols) {
    this.#protocols = protocols;
    if (this.#at === 0) return this.#env.openSocket(url, protocols);
    return this.#env.fallbacks[this.#at - 1].open({ url, token: this.#token, env: this.#env });
  }

  /** The server has welcomed us on this way. */
  welcomed() {
    this.#worked.add(this.#at);
    if (this.#at === 0) {
      this.#env.remember(null);
      return;
    }
    if (this.#sinceMs === 0) this.#sinceMs = this.#env.nowMs();
    this.#env.remember({ label: this.label, sinceMs: this.#sinceMs });
    this.#tryIn(this.#sinceMs + SOCKET_AGAIN_MS - this.#env.nowMs());
  }

  /** @param {import("./socket.js").Loss} loss */
  lost({ opened, silent, code }) {
    if (opened) this.#worked.add(this.#at);
    if (opened && !(silent && this.#at > 0)) {
      this.#failures = 0;
      return;
    }
    // A server that refuses with a code of its own can be reached.
    const isAnswer = !silent && code !== 1005 && code !== 1006 && code !== 1011;
    if (isAnswer || (!opened && this.#worked.has(this.#at))) return;
    this.#failures += 1;
    const most = opened ? SILENT_STREAMS : this.#at === 0 ? SOCKET_ATTEMPTS : 1;
    if (this.#failures >= most) this.#goOn();
  }

  /** The network has changed, perhaps to one with other proxies. */
  online() {
    this.#worked.clear();
    this.#failures = 0;
    if (this.#at > 0) this.#tryIn(0);
  }

  stop() {
    this.#env.clearTimer(this.#probeTimer);
    this.#endProbe();
  }

  /** After the last way comes the first again: then it is the server that is away. */
  #goOn() {
    this.stop();
    this.#failures = 0;
    this.#sinceMs = 0;
    this.#worked.delete(this.#at);
    this.#at = (this.#at + 1) % (this.#env.fallbacks.length + 1);
  }

  /** @param {number} delayMs */
  #tryIn(delayMs) {
    this.#env.clearTimer(this.#probeTimer);
    this.#probeTimer = this.#env.setTimer(() => this.#try(), Math.max(0, delayMs));
  }

  /** Tries the socket beside the way that works. */
  #try() {
    this.#endProbe();
    this.#sinceMs = this.#env.nowMs();
    this.#env.remember({ label: this.label, sinceMs: this.#sinceMs });
    this.#probeTimer = this.#env.setTimer(() => this.#tryLater(), OPEN_WITHIN_MS);
    try {
      const probe = (this.#probe = this.#env.openSocket(this.#url, this.#protocols));
      probe.onopen = () => {
        this.stop();
        this.#goTo(0);
      };
      probe.onclose = () => this.#tryLater();
    } catch {
      this.#tryLater();
    }
  }

  #tryLater() {
    this.#endProbe();
    this.#tryIn(SOCKET_AGAIN_MS);
  }

  #endProbe() {
    const probe = this.#probe;
    this.#probe = null;
    if (probe === null) return;
    probe.onopen = probe.onclose = null;
    try {
      probe.close(1000, "only asked whether it opens");
    } catch {
      // One that cannot be closed was never open.
    }
  }

  /** @param {number} at */
  #goTo(at) {
    this.#at = at;
    this.#failures = 0;
    this.#sinceMs = 0;
    this.#env.remember(null);
    this.#onSocket();
  }
}
